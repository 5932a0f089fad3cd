import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Chat rooms, their members, presence; and the index that reads a room's messages by their number. */
export class CreateChatTables20261120000200 implements MigrationInterface {
  readonly name = 'CreateChatTables20261120000200';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX records_messages_idx');
    await runner.query('DROP TABLE presence_leases, room_members, rooms');
  }
}

const STATEMENTS = [
  `CREATE TABLE rooms (
     tenant_id integer NOT NULL,
     name text NOT NULL,
     title text NOT NULL,
     private boolean NOT NULL DEFAULT false,
     created_by text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     CONSTRAINT rooms_pkey PRIMARY KEY (tenant_id, name)
   )`,
  // no foreign key to rooms: "general" is there by rule, without a row
  `CREATE TABLE room_members (
     tenant_id integer NOT NULL,
     room text NOT NULL,
     principal text NOT NULL,
     joined_at timestamptz NOT NULL DEFAULT now(),
     read_seq bigint NOT NULL DEFAULT 0,
     CONSTRAINT room_members_pkey PRIMARY KEY (tenant_id, room, principal)
   )`,
  `CREATE INDEX room_members_principal_idx ON room_members (tenant_id, principal)`,
  // rewritten every few seconds: room on the page keeps the updates there
  `CREATE TABLE presence_leases (
     tenant_id integer NOT NULL,
     principal text NOT NULL,
     node_id uuid NOT NULL,
     kind text NOT NULL,
     name text NOT NULL,
     status text NOT NULL,
     text text,
     since timestamptz NOT NULL,
     queue bigint,
     lag bigint,
     expires_at timestamptz NOT NULL,
     CONSTRAINT presence_leases_pkey PRIMARY KEY (tenant_id, principal, node_id)
   ) WITH (fillfactor = 50)`,
  `CREATE INDEX records_messages_idx ON records (tenant_id, partition, ((data->>'seq')::bigint))
   WHERE collection = 'messages'`,
];
