import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import ts from 'typescript';

const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

/** What a program that uses the engine can see, by the file that declares it. */
const PUBLIC: Record<string, string[]> = {
  'sdk/types.ts': [
    'SyncClient',
    'SyncEvents',
    'SyncStats',
    'SyncClientOptions',
    'EngineOptions',
    'Session',
    'SessionOptions',
    'SessionStorage',
    'MachineSession',
    'MachineOptions',
    'SecretCredential',
    'KeyCredential',
    'ChatClient',
    'ChatEvents',
  ],
  'sdk/verify.ts': ['VerifierOptions', 'Verifier', 'TokenPrincipal'],
  'sdk/verify-revocations.ts': ['RevocationOptions'],
  'sdk/store.ts': ['Store', 'Replica', 'StoreOptions', 'ListOptions'],
  'sdk/file-store.ts': ['FileStore', 'FileStoreHooks', 'FileStoreOptions', 'EnqueueTransaction'],
};

describe('sdk documentation', () => {
  const text = read('docs/SDK.md').replaceAll(/^```[^]*?^```$/gm, '');
  const quoted = [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? '').join('\n');
  const isNamed = (name: string): boolean => new RegExp(`(?<![\\w$])${name}(?![\\w$])`).test(quoted);

  for (const [file, interfaces] of Object.entries(PUBLIC))
    for (const name of interfaces)
      it(`docs/SDK.md names every member of ${name}`, () => {
        const members = membersOf(file, name);
        expect(members).to.not.deep.equal([]);
        expect(members.filter((member) => !isNamed(member))).to.deep.equal([]);
      });

  it('docs/SDK.md names every error code and every function that the engine exports', () => {
    const codes = [...read('sdk/errors.ts').matchAll(/^ {2}\| '(\w+)'/gm)].map(([, code]) => code ?? '');
    const functions = [...read('sdk/index.ts').matchAll(/export \{ (create\w+) \}/g)].map(
      ([, one]) => one ?? '',
    );
    expect(codes).to.include('closed');
    expect(functions).to.include('createSyncClient');
    expect([...codes, ...functions].filter((name) => !isNamed(name))).to.deep.equal([]);
  });
});

function membersOf(file: string, name: string): string[] {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest);
  const found = source.statements.find(
    (one): one is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(one) && one.name.text === name,
  );
  return (found?.members ?? []).flatMap((member) =>
    member.name && ts.isIdentifier(member.name) ? [member.name.text] : [],
  );
}
