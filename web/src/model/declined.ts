/** The person went back from what they began: nothing to be told about. */
export class Declined extends Error {}
