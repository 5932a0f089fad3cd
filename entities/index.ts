import { AuditLogEntity } from './audit-log.ts';
import { ChangeEntity } from './change.ts';
import { RecordEntity } from './record.ts';
import { SyncBatchEntity } from './sync-batch.ts';
import { SyncClientEntity } from './sync-client.ts';
import { SyncVersionEntity } from './sync-version.ts';
import { TenantEntity } from './tenant.ts';

/** Every table, in the order they are explained in docs/ARCHITECTURE.md. */
export const ENTITIES = [
  TenantEntity,
  AuditLogEntity,
  SyncVersionEntity,
  SyncClientEntity,
  SyncBatchEntity,
  RecordEntity,
  ChangeEntity,
];
