// Two modes in turn, several times each: are the bytes the same every time, and is one faster by more than the noise?

const LEAST = 3; // rounds
const MOST = 7;
const SECONDS = 4; // after which the least is enough
const BRIEF = 16; // fewer tokens than this say nothing about speed
const SLIGHT = 1.02; // a difference that nobody would notice

export class Comparison {
  /** @param reference The text that every run should give. */
  constructor(reference) {
    this.reference = reference;
    this.runs = [[], []];
    this.began = performance.now();
  }

  /** 0 or 1: whose turn it is. The one that begins changes from round to round. */
  get turn() {
    const done = this.runs[0].length + this.runs[1].length;
    return (done & 1) ^ ((done >> 1) & 1);
  }

  get rounds() {
    return Math.min(this.runs[0].length, this.runs[1].length);
  }

  get enough() {
    if (this.runs[0].length !== this.runs[1].length || this.rounds < LEAST) return false;
    return this.rounds === MOST || this.brief || this.alike || performance.now() - this.began > 1000 * SECONDS;
  }

  add(run) {
    this.runs[this.turn].push(run);
  }

  get all() {
    return this.runs.flat();
  }

  get brief() {
    return this.all.some((run) => run.tokenCount < BRIEF);
  }

  /** There is something to say about speed. */
  get timed() {
    return this.rounds >= LEAST && !this.brief && !this.alike;
  }

  /** Neither ever guessed anything: they did the same, and a difference in time is the machine's. */
  get alike() {
    return this.all.every((run) => run.guesses === 0);
  }

  /** The run of a mode whose speed is the middle one. */
  median(which) {
    const sorted = this.runs[which].toSorted((a, b) => a.speed - b.speed);
    return sorted[Math.floor(sorted.length / 2)];
  }

  /** Bytes that every text has in common from the start, and whether that is all of each. */
  get bytes() {
    const encoder = new TextEncoder();
    const wanted = encoder.encode(this.reference);
    let common = wanted.length;
    let same = true;
    for (const run of this.all) {
      const text = encoder.encode(run.text);
      let equal = 0;
      while (equal < text.length && equal < wanted.length && text[equal] === wanted[equal]) equal++;
      same &&= equal === wanted.length && equal === text.length;
      common = Math.min(common, equal);
    }
    return { same, common };
  }

  /**
   * How much faster mode `judged` is than the other: { ratio, low, high } of the speeds of neighbours in time, median and extremes.
   * sure: it is more than noise. All pairs must agree; where they are few, by chance too they might, and so every run of the one must
   * also be faster than every run of the other.
   */
  speed(judged) {
    const pairs = Array.from({ length: this.rounds }, (_, i) => this.runs[judged][i].speed / this.runs[1 - judged][i].speed);
    const ratios = pairs.toSorted((a, b) => a - b);
    const [low, high] = [ratios[0], ratios.at(-1)];
    const ratio = ratios.length % 2 ? ratios[ratios.length >> 1] : (ratios[ratios.length / 2 - 1] + ratios[ratios.length / 2]) / 2;
    const [a, b] = [this.runs[judged], this.runs[1 - judged]].map((runs) => runs.map((run) => run.speed));
    const apart = Math.min(...a) > Math.max(...b) || Math.max(...a) < Math.min(...b);
    const agreed = low > 1 || high < 1;
    const sure = agreed && (ratios.length >= 5 || apart) && Math.max(ratio, 1 / ratio) >= SLIGHT;
    return { ratio, low, high, sure };
  }
}
