import tseslint from 'typescript-eslint';

const size = { skipBlankLines: true, skipComments: true };

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'scripts/**', '.dependency-cruiser.cjs', '.sluice*/**'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'max-lines': ['error', { max: 300, ...size }],
      'max-lines-per-function': ['error', { max: 60, ...size }],
      complexity: ['error', 12],
      'max-params': ['error', 4],
      'max-depth': ['error', 3],
      'no-console': 'error',
      eqeqeq: 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-restricted-syntax': [
        'error',
        {
          selector: "MemberExpression[object.name='process'][property.name='env']",
          message: 'Read the environment only in config.ts.',
        },
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  {
    // TypeORM's own way to declare an entity without decorators
    files: ['entities/**'],
    rules: { '@typescript-eslint/no-unsafe-class-instance-assignment': 'off' },
  },
  { files: ['**/config.ts', 'test/support/**'], rules: { 'no-restricted-syntax': 'off' } },
  { files: ['*.config.js', 'web/vite.config.ts'], rules: { 'no-restricted-syntax': 'off' } },
  { files: ['*.config.js'], ...tseslint.configs.disableTypeChecked },
  {
    files: ['test/**', 'bench/**'],
    rules: {
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
);
