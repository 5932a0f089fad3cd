export type RetailInputFault =
  'unreadable' | 'damaged_gzip' | 'unsupported_encoding' | 'no_header' | 'missing_column';

/** The file as a whole cannot be read. (A row that cannot be valid is a RefusedRow, not an error.) */
export class RetailInputError extends Error {
  override readonly name = 'RetailInputError';
  readonly fault: RetailInputFault;
  readonly file: string;

  constructor(fault: RetailInputFault, file: string, message: string) {
    super(`${file}: ${message}`);
    this.fault = fault;
    this.file = file;
  }
}
