import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { sellOne } from './example.ts';
import { startFakeGateway } from './fake-gateway.ts';

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

describe('sdk example', () => {
  it('docs/SDK.md shows the example that is run here', () => {
    const [, example = ''] = /\/\/ docs:begin\n([^]*)\/\/ docs:end/.exec(read('example.ts')) ?? [];
    expect(read('../../docs/SDK.md')).to.contain(example.trim());
    const imports = read('example.ts').match(/^import .*$/gm) ?? [];
    expect(imports).to.have.length(2);
    for (const line of imports)
      expect(read('../../docs/SDK.md')).to.contain(line.replace("'../../sdk/", "'./sdk/"));
  });

  it('it works', async () => {
    const gateway = await startFakeGateway();
    const oauth = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ access_token: 'token', token_type: 'Bearer', expires_in: 900 }));
    });
    await new Promise<void>((resolve) => oauth.listen(0, '127.0.0.1', resolve));
    const directory = mkdtempSync(join(tmpdir(), 'sluice-example-'));
    const baseUrl = `http://127.0.0.1:${(oauth.address() as AddressInfo).port}`;
    const access = { url: gateway.url, baseUrl, clientId: 'branch', clientSecret: 'secret' };
    const sold = await sellOne(access, join(directory, 'client.db'));
    oauth.closeAllConnections();
    await Promise.all([gateway.close(), new Promise((resolve) => oauth.close(resolve))]);
    rmSync(directory, { recursive: true });
    expect(sold).to.equal(true);
    expect(gateway.pushes[0]?.mutations[0]).to.include({ id: 'tea', op: 'patch' });
  });
});
