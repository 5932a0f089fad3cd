import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** Where `vite` (development only) finds the gateway. */
const gateway = process.env['GATEWAY_URL'] ?? 'http://127.0.0.1:8300';
const paths = [
  '/api',
  '/auth',
  '/oauth',
  '/v1',
  '/sync',
  '/audit',
  '/config',
  '/health',
  '/dev',
  '/connection',
];

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    target: 'es2022',
    // A data: URL would need its own entry in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    port: 5173,
    proxy: {
      ...Object.fromEntries(paths.map((path) => [path, gateway])),
      '/socket.io': { target: gateway, ws: true },
    },
  },
});
