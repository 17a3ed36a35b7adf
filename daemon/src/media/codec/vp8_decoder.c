/* A VP8 decoder behind four functions, so that Rust needs no view of libvpx's structures. */
#include <stdlib.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>

struct zego_vp8 {
    vpx_codec_ctx_t codec;
};

struct zego_vp8_picture {
    const unsigned char *plane[3];
    int stride[3];
    unsigned int width;
    unsigned int height;
};

/* One thread, no post-processing, no error concealment: a picture is intact or there is none. NULL when out of memory. */
struct zego_vp8 *zego_vp8_new(void) {
    struct zego_vp8 *self = calloc(1, sizeof *self);
    vpx_codec_dec_cfg_t configuration = {.threads = 1};
    if (!self) return NULL;
    if (vpx_codec_dec_init(&self->codec, vpx_codec_vp8_dx(), &configuration, 0) != VPX_CODEC_OK) {
        free(self);
        return NULL;
    }
    return self;
}

void zego_vp8_free(struct zego_vp8 *self) {
    if (!self) return;
    vpx_codec_destroy(&self->codec);
    free(self);
}

/* Decodes one frame. 1: `picture` is filled and valid until the next call; 0: the frame shows nothing; negative: an error. */
int zego_vp8_decode(struct zego_vp8 *self, const unsigned char *data, unsigned int length, struct zego_vp8_picture *picture) {
    vpx_codec_iter_t iterator = NULL;
    vpx_image_t *image;
    int corrupted = 0;
    vpx_codec_err_t error = vpx_codec_decode(&self->codec, data, length, NULL, 0);
    if (error != VPX_CODEC_OK) return -(int)error;
    if (vpx_codec_control(&self->codec, VP8D_GET_FRAME_CORRUPTED, &corrupted) == VPX_CODEC_OK && corrupted)
        return -(int)VPX_CODEC_CORRUPT_FRAME;
    image = vpx_codec_get_frame(&self->codec, &iterator);
    if (!image) return 0;
    if (image->fmt != VPX_IMG_FMT_I420) return -(int)VPX_CODEC_UNSUP_BITSTREAM;
    for (int i = 0; i < 3; i++) {
        picture->plane[i] = image->planes[i];
        picture->stride[i] = image->stride[i];
    }
    picture->width = image->d_w;
    picture->height = image->d_h;
    return 1;
}
