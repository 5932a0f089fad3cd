// Mocha's dots, and what failed as a file that .ci/run reads: {file, title}[].
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

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
    });
  }
};
