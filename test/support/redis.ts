/** A Redis that the run may use; undefined: what needs one is left out, and says so. */
export const redisUrl = process.env['TEST_REDIS_URL'] || undefined;
