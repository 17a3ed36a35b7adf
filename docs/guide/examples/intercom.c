/* An intercom in C: logs in, publishes, plays another's stream into a texture, and reads its pictures. It needs libsystemd and nothing else:
 *
 *     cc -O2 -o intercom intercom.c $(pkg-config --cflags --libs libsystemd)
 *     intercom ROOM USER TOKEN OWN_STREAM THEIR_STREAM
 *
 * It prints what happens and, once a second, how many pictures came and how bright the newest one is. Ctrl-C hangs up: all of it is bound
 * to this program's connection, so that nothing goes on when it ends in any other way.
 *
 * The bus is the system's; DBUS_SYSTEM_BUS_ADDRESS names another one.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define SERVICE "org.zegod1"
#define ENGINE "/org/zegod1", "org.zegod1.Engine"

/* The head of a texture view and of each of its slots: docs/reference/texture-views.md. */
struct header {
    char magic[4];
    uint32_t version, slot_count, slot_size, first_slot, fourcc, width, height, stride, reserved;
    _Atomic uint64_t newest;
    _Atomic uint32_t superseded;
};

struct slot {
    _Atomic uint64_t lock;
    uint64_t number, captured_ns;
    uint32_t source_width, source_height, rotation;
};

enum { PIXELS = 64 };

_Static_assert(offsetof(struct header, newest) == 40, "the layout of the header");
_Static_assert(offsetof(struct header, superseded) == 48, "the layout of the header");
_Static_assert(offsetof(struct slot, source_width) == 24, "the layout of a slot");

struct texture {
    uint64_t view;
    const struct header *memory;
    size_t size;
    int wakeup;
    /* A picture of ours: zegod goes on drawing into its own. */
    unsigned char *picture;
    uint64_t pictures;
};

/* Ends the program with what zegod says: it names the thing and tells what to do. */
static void fail(const char *doing, int error, const sd_bus_error *details) {
    fprintf(stderr, "intercom: %s: %s\n", doing, details && details->message ? details->message : strerror(-error));
    exit(EXIT_FAILURE);
}

static void check(const char *doing, int result) {
    if (result < 0) {
        fail(doing, result, NULL);
    }
}

/* Sends a call and gives its answer, which the caller frees. */
static sd_bus_message *answer_of(sd_bus *bus, const char *doing, sd_bus_message *call) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *answer = NULL;
    int result = sd_bus_call(bus, call, 0, &error, &answer);
    sd_bus_message_unref(call);
    if (result < 0) {
        fail(doing, result, &error);
    }
    return answer;
}

static sd_bus_message *call_of(sd_bus *bus, const char *method) {
    sd_bus_message *call = NULL;
    check(method, sd_bus_message_new_method_call(bus, &call, SERVICE, ENGINE, method));
    return call;
}

static void log_in(sd_bus *bus, const char *room, const char *user, const char *token) {
    sd_bus_message *call = call_of(bus, "LoginRoom");
    check("LoginRoom", sd_bus_message_append(call, "sssa{sv}", room, user, "", 3, "token", "s", token,
                                             "is_user_status_notify", "b", true, "bind_to_caller", "b", true));
    sd_bus_message_unref(answer_of(bus, "LoginRoom", call));
}

static void publish(sd_bus *bus, const char *stream) {
    sd_bus_message *call = call_of(bus, "StartPublishing");
    check("StartPublishing", sd_bus_message_append(call, "sa{sv}", stream, 1, "bind_to_caller", "b", true));
    sd_bus_message_unref(answer_of(bus, "StartPublishing", call));
}

static void play(sd_bus *bus, const char *stream, uint64_t view) {
    sd_bus_message *call = call_of(bus, "StartPlaying");
    check("StartPlaying", sd_bus_message_append(call, "sa{sv}", stream, 2, "view", "t", view, "bind_to_caller", "b", true));
    sd_bus_message_unref(answer_of(bus, "StartPlaying", call));
}

static void close_texture(struct texture *texture) {
    if (texture->memory) {
        munmap((void *)texture->memory, texture->size);
        close(texture->wakeup);
        free(texture->picture);
    }
}

/* Maps the texture's memory; again when its size changed. */
static void open_texture(sd_bus *bus, struct texture *texture) {
    sd_bus_message *call = call_of(bus, "OpenTexture");
    check("OpenTexture", sd_bus_message_append(call, "t", texture->view));
    sd_bus_message *answer = answer_of(bus, "OpenTexture", call);
    int memory, wakeup;
    struct stat status;
    check("OpenTexture", sd_bus_message_read(answer, "hh", &memory, &wakeup));
    close_texture(texture);
    /* The descriptors belong to the message: the mapping outlives it, the eventfd needs a copy. */
    texture->wakeup = dup(wakeup);
    if (texture->wakeup < 0 || fstat(memory, &status) < 0) {
        fail("OpenTexture", -errno, NULL);
    }
    texture->size = (size_t)status.st_size;
    void *mapped = mmap(NULL, texture->size, PROT_READ, MAP_SHARED, memory, 0);
    if (mapped == MAP_FAILED) {
        fail("mapping the texture", -errno, NULL);
    }
    texture->memory = mapped;
    texture->picture = malloc((size_t)texture->memory->stride * texture->memory->height);
    if (!texture->picture) {
        fail("a picture", -ENOMEM, NULL);
    }
    sd_bus_message_unref(answer);
}

static void create_texture(sd_bus *bus, struct texture *texture) {
    sd_bus_message *call = call_of(bus, "CreateTextureRenderer");
    check("CreateTextureRenderer", sd_bus_message_append(call, "uua{sv}", 640, 480, 2, "format", "s", "XR24",
                                                         "bind_to_caller", "b", true));
    sd_bus_message *answer = answer_of(bus, "CreateTextureRenderer", call);
    check("CreateTextureRenderer", sd_bus_message_read(answer, "t", &texture->view));
    sd_bus_message_unref(answer);
    open_texture(bus, texture);
}

/* Copies the newest picture. False when zegod was faster than the copy: the next picture is about to come. */
static bool copy_picture(struct texture *texture) {
    const struct header *header = texture->memory;
    uint64_t newest = atomic_load_explicit(&header->newest, memory_order_acquire);
    const char *place = (const char *)header + header->first_slot + (size_t)(newest % header->slot_count) * header->slot_size;
    const struct slot *slot = (const struct slot *)place;
    uint64_t before = atomic_load_explicit(&slot->lock, memory_order_acquire);
    if (newest == 0 || before % 2 != 0) {
        return false;
    }
    memcpy(texture->picture, place + PIXELS, (size_t)header->stride * header->height);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&slot->lock, memory_order_relaxed) == before;
}

/* A picture is there, or the texture's size changed. */
static void woken(sd_bus *bus, struct texture *texture) {
    uint64_t count;
    if (read(texture->wakeup, &count, sizeof count) < 0) {
        return;
    }
    if (atomic_load(&texture->memory->superseded)) {
        open_texture(bus, texture);
    } else if (copy_picture(texture)) {
        texture->pictures++;
    }
}

/* Mean of the newest picture's bytes B, G and R. A user interface would draw it instead. */
static unsigned brightness(const struct texture *texture) {
    const struct header *header = texture->memory;
    uint64_t sum = 0;
    for (uint32_t y = 0; y < header->height; y++) {
        const unsigned char *row = texture->picture + (size_t)y * header->stride;
        for (uint32_t x = 0; x < header->width; x++) {
            sum += (uint64_t)row[4 * x] + row[4 * x + 1] + row[4 * x + 2];
        }
    }
    return (unsigned)(sum / (3ull * header->width * header->height));
}

/* Signals whose first three arguments are an id, a state and a code. */
static int state_changed(sd_bus_message *signal, void *data, sd_bus_error *error) {
    (void)data;
    (void)error;
    const char *id;
    int32_t state, code;
    if (sd_bus_message_read(signal, "sii", &id, &state, &code) >= 0) {
        printf("%s %s: state %d, code %d\n", sd_bus_message_get_member(signal), id, state, code);
    }
    return 0;
}

static int second_passed(int timer) {
    uint64_t count;
    return read(timer, &count, sizeof count) == sizeof count;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "Usage: intercom ROOM USER TOKEN OWN_STREAM THEIR_STREAM\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sd_bus *bus = NULL;
    check("the system bus", sd_bus_open_system(&bus));
    const char *states[] = {"RoomStateUpdate", "PublisherStateUpdate", "PlayerStateUpdate"};
    for (size_t n = 0; n < sizeof states / sizeof *states; n++) {
        check(states[n], sd_bus_match_signal(bus, NULL, SERVICE, ENGINE, states[n], state_changed, NULL));
    }

    struct texture texture = {0};
    log_in(bus, argv[1], argv[2], argv[3]);
    publish(bus, argv[4]);
    create_texture(bus, &texture);
    play(bus, argv[5], texture.view);

    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int ended = signalfd(-1, &ends, SFD_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    timerfd_settime(timer, 0, &second, NULL);

    for (;;) {
        int handled = sd_bus_process(bus, NULL);
        check("the bus", handled);
        if (handled > 0) {
            continue;
        }
        struct pollfd descriptors[] = {
            {.fd = sd_bus_get_fd(bus), .events = (short)sd_bus_get_events(bus)},
            {.fd = texture.wakeup, .events = POLLIN},
            {.fd = timer, .events = POLLIN},
            {.fd = ended, .events = POLLIN},
        };
        if (poll(descriptors, 4, -1) < 0 && errno != EINTR) {
            fail("waiting", -errno, NULL);
        }
        if (descriptors[1].revents) {
            woken(bus, &texture);
        }
        if (descriptors[2].revents && second_passed(timer)) {
            printf("%ju pictures, brightness %u\n", (uintmax_t)texture.pictures, texture.pictures ? brightness(&texture) : 0);
        }
        if (descriptors[3].revents) {
            break;
        }
    }

    sd_bus_message *hang_up = call_of(bus, "LogoutRoom");
    check("LogoutRoom", sd_bus_message_append(hang_up, "s", argv[1]));
    sd_bus_message_unref(answer_of(bus, "LogoutRoom", hang_up));
    close_texture(&texture);
    sd_bus_flush_close_unref(bus);
    return EXIT_SUCCESS;
}
