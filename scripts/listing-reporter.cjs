// Mocha's dots, and what failed as a file that .ci/run reads: {file, title}[].
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

/** A process that is still there so long after its last test is stuck. */
const STUCK_MS = 60_000;

module.exports = class ListingReporter extends reporters.Dot {
  constructor(runner, options) {
    super(runner, options);
    const { output } = options.reporterOptions ?? {};
    const failed = [];
    runner.on('fail', (test) => {
      const of = test.type === 'hook' ? test.parent : test;
      failed.push({ file: test.file ?? test.parent?.file, title: of.fullTitle() });
    });
    runner.on('end', () => {
      if (output) writeFileSync(output, JSON.stringify(failed));
      // fires only where something still keeps the process alive
      setTimeout(() => {
        console.error('Something that a test began was not closed: the process would never end.');
        process.exit(1);
      }, STUCK_MS).unref();
    });
  }
};
