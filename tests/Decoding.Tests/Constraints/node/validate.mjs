// Reads lines {"schema": {...}, "texts": ["..."]} and names every text that is no JSON or does not validate.
import Ajv2020 from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { readFileSync } from 'node:fs';

let checked = 0;
for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const { schema, texts } = JSON.parse(line);
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  formats(ajv);
  const validate = ajv.compile(schema);
  for (const text of texts) {
    checked++;
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      console.log(`no JSON: ${text}: ${error.message}`);
      continue;
    }
    if (!validate(value)) {
      console.log(`${JSON.stringify(schema)} refuses ${text}: ${ajv.errorsText(validate.errors)}`);
    }
  }
}
console.log(`checked ${checked}`);
