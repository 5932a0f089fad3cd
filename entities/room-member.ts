import { EntitySchema } from 'typeorm';

/** Who is in a room, and up to where they have read it. For `general` it is the read mark alone. */
export interface RoomMemberRow {
  tenant_id: number;
  room: string;
  /** `kind:id`. */
  principal: string;
  joined_at: Date;
  /** The `seq` of the newest message read; it only grows. */
  read_seq: number;
}

const primaryKeyConstraintName = 'room_members_pkey';

export const RoomMemberEntity = new EntitySchema<RoomMemberRow>({
  name: 'RoomMember',
  tableName: 'room_members',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    room: { type: 'text', primary: true, primaryKeyConstraintName },
    principal: { type: 'text', primary: true, primaryKeyConstraintName },
    joined_at: { type: 'timestamptz', default: () => 'now()' },
    read_seq: { type: 'bigint', default: 0 },
  },
  indices: [{ name: 'room_members_principal_idx', columns: ['tenant_id', 'principal'] }],
});
