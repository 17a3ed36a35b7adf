/* A VP8 encoder as browsers set theirs up, to make streams for the decoder's tests. */
#include <stdlib.h>
#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

struct zego_vp8_encoder {
    vpx_codec_ctx_t codec;
    vpx_image_t image;
    vpx_codec_pts_t time;
};

struct zego_vp8_encoder *zego_vp8_encoder_new(unsigned int width, unsigned int height, unsigned int kbps) {
    struct zego_vp8_encoder *self = calloc(1, sizeof *self);
    vpx_codec_enc_cfg_t configuration;
    if (!self) return NULL;
    if (vpx_codec_enc_config_default(vpx_codec_vp8_cx(), &configuration, 0) != VPX_CODEC_OK) goto fail;
    configuration.g_w = width;
    configuration.g_h = height;
    configuration.g_timebase.num = 1;
    configuration.g_timebase.den = 30;
    configuration.g_threads = 1;
    configuration.g_lag_in_frames = 0;
    configuration.rc_end_usage = VPX_CBR;
    configuration.rc_target_bitrate = kbps;
    configuration.kf_mode = VPX_KF_DISABLED;
    if (vpx_codec_enc_init(&self->codec, vpx_codec_vp8_cx(), &configuration, 0) != VPX_CODEC_OK) goto fail;
    vpx_codec_control(&self->codec, VP8E_SET_CPUUSED, -8);
    return self;
fail:
    free(self);
    return NULL;
}

void zego_vp8_encoder_free(struct zego_vp8_encoder *self) {
    if (!self) return;
    vpx_codec_destroy(&self->codec);
    free(self);
}

/* Encodes a packed I420 picture. Returns the length, 0 for nothing, negative for an error; `*data` is valid until the next call. */
long zego_vp8_encode(struct zego_vp8_encoder *self, const unsigned char *i420, unsigned int width, unsigned int height, int key,
                     const unsigned char **data) {
    vpx_codec_iter_t iterator = NULL;
    const vpx_codec_cx_pkt_t *packet;
    if (!vpx_img_wrap(&self->image, VPX_IMG_FMT_I420, width, height, 1, (unsigned char *)i420)) return -1;
    if (vpx_codec_encode(&self->codec, &self->image, self->time++, 1, key ? VPX_EFLAG_FORCE_KF : 0, VPX_DL_REALTIME) != VPX_CODEC_OK)
        return -2;
    while ((packet = vpx_codec_get_cx_data(&self->codec, &iterator))) {
        if (packet->kind != VPX_CODEC_CX_FRAME_PKT) continue;
        *data = packet->data.frame.buf;
        return (long)packet->data.frame.sz;
    }
    return 0;
}
