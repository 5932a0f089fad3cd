import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Tenants, the audit log, and the sync core: the clock, clients, batches, records and the log of changes. */
export class CreateSyncTables20261120000000 implements MigrationInterface {
  readonly name = 'CreateSyncTables20261120000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP TABLE partition_counters, changes, records, sync_batches, sync_clients, sync_versions, audit_logs, tenants',
    );
    await runner.query('DROP FUNCTION audit_logs_refuse_change(), sync_require(boolean)');
  }
}

const STATEMENTS = [
  `CREATE TABLE tenants (
     id serial NOT NULL,
     name text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     CONSTRAINT tenants_pkey PRIMARY KEY (id)
   )`,
  `CREATE TABLE audit_logs (
     tenant_id integer NOT NULL,
     id bigserial NOT NULL,
     at timestamptz NOT NULL DEFAULT now(),
     action text NOT NULL,
     principal text,
     success boolean NOT NULL,
     code text,
     ip text,
     request_id text,
     details jsonb NOT NULL DEFAULT '{}',
     CONSTRAINT audit_logs_pkey PRIMARY KEY (tenant_id, id)
   )`,
  `CREATE FUNCTION audit_logs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN RAISE EXCEPTION 'audit_logs is append-only'; END $$`,
  `CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
   FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse_change()`,
  // A low fillfactor leaves room for the hot row's new versions on its own page (HOT updates)
  `CREATE TABLE sync_versions (
     tenant_id integer NOT NULL,
     head bigint NOT NULL DEFAULT 0,
     epoch uuid NOT NULL,
     floor bigint NOT NULL DEFAULT 0,
     CONSTRAINT sync_versions_pkey PRIMARY KEY (tenant_id)
   ) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200)`,
  `CREATE TABLE sync_clients (
     tenant_id integer NOT NULL,
     client_id uuid NOT NULL,
     incarnation text NOT NULL,
     principal text NOT NULL,
     last_seq bigint NOT NULL DEFAULT 0,
     last_group integer NOT NULL DEFAULT 0,
     app_name text,
     app_version text,
     created_at timestamptz NOT NULL DEFAULT now(),
     last_seen_at timestamptz NOT NULL DEFAULT now(),
     CONSTRAINT sync_clients_pkey PRIMARY KEY (tenant_id, client_id, incarnation)
   ) WITH (fillfactor = 50)`,
  `CREATE TABLE sync_batches (
     tenant_id integer NOT NULL,
     batch_id uuid NOT NULL,
     client_id uuid,
     incarnation text,
     seq bigint,
     hash bytea NOT NULL,
     version bigint,
     results json NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     CONSTRAINT sync_batches_pkey PRIMARY KEY (tenant_id, batch_id)
   )`,
  // Raised inside the one statement that commits a group, it undoes the whole of it
  `CREATE FUNCTION sync_require(held boolean) RETURNS boolean LANGUAGE plpgsql AS
   $$ BEGIN
     IF NOT held THEN RAISE EXCEPTION 'sync: another writer was faster' USING ERRCODE = 'serialization_failure'; END IF;
     RETURN true;
   END $$`,
  `CREATE TABLE records (
     tenant_id integer NOT NULL,
     collection text NOT NULL,
     id text NOT NULL,
     partition text NOT NULL,
     version bigint NOT NULL,
     prev_version bigint,
     data jsonb NOT NULL,
     bytes integer NOT NULL,
     base_version bigint NOT NULL,
     field_versions jsonb NOT NULL DEFAULT '{}',
     CONSTRAINT records_pkey PRIMARY KEY (tenant_id, collection, id)
   ) WITH (fillfactor = 80)`,
  `CREATE TABLE changes (
     tenant_id integer NOT NULL,
     version bigint NOT NULL,
     idx integer NOT NULL,
     collection text NOT NULL,
     record_id text NOT NULL,
     op text NOT NULL,
     partition text NOT NULL,
     prev_partition text,
     data jsonb,
     bytes integer NOT NULL,
     at timestamptz NOT NULL,
     mark bigint NOT NULL,
     principal text NOT NULL,
     client_id uuid,
     seq bigint,
     CONSTRAINT changes_pkey PRIMARY KEY (tenant_id, version, idx)
   )`,
  `CREATE TABLE partition_counters (
     tenant_id integer NOT NULL,
     collection text NOT NULL,
     partition text NOT NULL,
     last bigint NOT NULL,
     CONSTRAINT partition_counters_pkey PRIMARY KEY (tenant_id, collection, partition)
   )`,
  `INSERT INTO tenants (id, name) VALUES (1, 'default')`,
  `SELECT setval(pg_get_serial_sequence('tenants', 'id'), 1)`,
  `INSERT INTO sync_versions (tenant_id, epoch) VALUES (1, gen_random_uuid())`,
];
