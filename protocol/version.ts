/** Version of the sync wire protocol; the client names it in `sync:hello`. */
export const PROTOCOL_VERSION = 1;

/** Version of the gateway and its clients, as `package.json` has it (a test holds the two together). */
export const SLUICE_VERSION = '0.1.0';
