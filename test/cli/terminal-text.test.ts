import { expect } from 'chai';
import { clean, cleanJson, fit, widthOf, wrap } from '../../client-cli/terminal-text.ts';

describe('terminal text', () => {
  it('[S64] writes controls out: escape sequences, C1, newlines, direction marks', () => {
    expect(clean('a\u001b[2J\u0007b\u009b1mc\nd\u202ee\u2028')).to.equal(
      'a\\x1b[2J\\x07b\\x9b1mc\\nd\\u{202e}e\\u{2028}',
    );
    expect(clean('lone \ud800 surrogate, zero\u200bwidth')).to.equal(
      'lone \\u{d800} surrogate, zero\\u{200b}width',
    );
    expect(clean('Åéñ 日本 👩‍👩‍👧 −6 → 34')).to.equal('Åéñ 日本 👩‍👩‍👧 −6 → 34');
  });

  it('[S64] keeps JSON safe on a terminal, with the same value', () => {
    const value = { text: 'x\u009b2J\u001b]0;t\u0007\u202e\u{e0041}', n: 1 };
    const line = cleanJson(value);
    expect(line).to.match(/^[\x20-\x7e]*$/);
    expect(JSON.parse(line)).to.deep.equal(value);
  });

  it('measures and cuts by columns, not by code units', () => {
    expect(widthOf('日本')).to.equal(4);
    expect(widthOf('e\u0301')).to.equal(1);
    expect(fit('日本語', 5)).to.equal('日本…');
    expect(fit('short', 10)).to.equal('short');
    expect(fit('anything', 1)).to.equal('…');
    expect(fit('anything', 0)).to.equal('');
  });

  it('breaks at spaces, and cuts words that are longer than a line', () => {
    expect(wrap('one two three', 8)).to.deep.equal(['one two', 'three']);
    expect(wrap('abcdefghij', 4)).to.deep.equal(['abcd', 'efgh', 'ij']);
    expect(wrap('日本語', 1)).to.deep.equal(['日', '本', '語']);
    expect(wrap('', 10)).to.deep.equal(['']);
  });
});
