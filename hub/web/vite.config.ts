import { defineConfig } from 'vite';

// The hub embeds `dist/` and serves it at `/`: relative addresses keep it working behind any path of a proxy too.
export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    // One script: the page is useless without the room client, so splitting it only adds a round trip.
    chunkSizeWarningLimit: 900,
    modulePreload: false,
  },
});
