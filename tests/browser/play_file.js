// Plays a file in a <video> of its own to the end: what it was like.
async ({ url, milliseconds }) => {
  const video = document.createElement("video");
  video.muted = true;
  video.src = url;
  document.body.append(video);
  const sizes = new Set();
  const ended = new Promise((resolve) => {
    video.onended = () => resolve("ended");
    video.onerror = () => resolve(`error ${video.error.code}: ${video.error.message}`);
    setTimeout(() => resolve("late"), milliseconds);
  });
  video.onresize = () => sizes.add(`${video.videoWidth}x${video.videoHeight}`);
  await video.play().catch(() => {});
  const outcome = await ended;
  const quality = video.getVideoPlaybackQuality();
  const result = {
    outcome,
    time: video.currentTime,
    sizes: [...sizes],
    pictures: quality.totalVideoFrames,
    corrupted: quality.corruptedVideoFrames,
    soundBytes: video.webkitAudioDecodedByteCount,
  };
  video.remove();
  return result;
};
