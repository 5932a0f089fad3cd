/** The directions of imports that docs/ARCHITECTURE.md draws: downward only, and no circles. */
const HOUSE = '^(server|entities|migrations|protocol|sdk|agent|client-cli|web|demo|bench)/';

const only = (name, pkg, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: HOUSE, pathNot: allowed },
  to: { path: `^node_modules/${pkg}/` },
});

module.exports = {
  forbidden: [
    {
      name: 'no-circles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'protocol-is-the-bottom',
      severity: 'error',
      from: { path: '^protocol/' },
      to: { pathNot: '^(protocol/|node_modules/zod/)' },
    },
    {
      name: 'migrations-stand-alone',
      severity: 'error',
      comment: 'A migration must mean the same after every later rename.',
      from: { path: '^migrations/' },
      to: { path: '^(server|entities|protocol)/' },
    },
    {
      name: 'entities-are-plain',
      severity: 'error',
      from: { path: '^entities/' },
      to: { path: '^(server|sdk|agent|client-cli|web|bench|demo)/' },
    },
    {
      name: 'only-db-loads-migrations',
      severity: 'error',
      from: { path: HOUSE, pathNot: '^(server/db\\.ts|migrations/)' },
      to: { path: '^migrations/' },
    },
    {
      name: 'clients-know-no-server',
      severity: 'error',
      from: { path: '^(web|client-cli|agent|sdk)/' },
      to: { path: '^(server|entities|migrations)/' },
    },
    {
      name: 'sdk-knows-no-client',
      severity: 'error',
      from: { path: '^sdk/' },
      to: { path: '^(web|client-cli|agent|bench|demo)/' },
    },
    {
      name: 'server-knows-no-client',
      severity: 'error',
      from: { path: '^server/' },
      to: { path: '^(web|client-cli|agent|sdk|bench|demo)/' },
    },
    {
      name: 'sync-and-auth-know-no-transport',
      severity: 'error',
      from: { path: '^server/(sync|auth)/' },
      to: {
        path: '^(server/(http|socket|io|app|main)\\.ts|server/(routes|middleware|sockets)/|node_modules/(koa|@koa|socket\\.io)/)',
      },
    },
    { name: 'nothing-imports-test', severity: 'error', from: { pathNot: '^test/' }, to: { path: '^test/' } },
    only('typeorm-near-data', 'typeorm', '^(entities|migrations)/|^server/(db\\.ts|auth/|routes/|chat/)'),
    only('koa-near-http', '(koa|@koa)', '^server/(app\\.ts|http\\.ts|middleware/|routes/)|^bench/'),
    only(
      'socket-io-at-the-edge',
      'socket\\.io',
      '^server/(app\\.ts|io\\.ts|socket\\.ts|sockets/|chat/)|^bench/',
    ),
    only('socket-io-client-in-one-place', 'socket\\.io-client', '^sdk/connection\\.ts|^bench/'),
    only('test-tools-stay-in-test', '(chai|mocha|fast-check|smtp-server|playwright-core)', '^test/'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: {
      path: '^(dist|node_modules/(?!zod|koa|@koa|socket\\.io|typeorm|chai|mocha|fast-check|smtp-server|playwright-core))',
    },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'types', 'default'],
    },
  },
};
