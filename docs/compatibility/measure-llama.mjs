// As measure.py, for GGUF files in llama.cpp (npm package node-llama-cpp): node measure-llama.mjs MODEL.gguf TEXT OUT.json [WINDOWS LENGTH]
// A vocabulary of 49,152 takes about a second a token here, as every probability is handed out: give it 1 window of 128.
// Run it where node_modules holds the package, or with NODE_PATH set.
import fs from "node:fs";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const require = createRequire(process.cwd() + "/");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(require.resolve("node-llama-cpp")).href);
const [NEW, PROMPT] = [24, "The city of"];
const [path, textFile, out] = process.argv.slice(2);
const [WINDOWS, LENGTH] = [process.argv[5] ?? 2, process.argv[6] ?? 256].map(Number);

const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: path});
const context = await model.createContext({contextSize: 1024, sequences: 1, flashAttention: false});
const begin = model.tokens.shouldPrependBosToken && model.tokens.bos != null ? [model.tokens.bos] : [];
const encode = (text) => [...begin, ...model.tokenize(text)];

const ids = encode(fs.readFileSync(textFile, "utf8"));
const [blocks, logprobs] = [[], []];
const sequence = context.getSequence();
for (let i = 0; i < WINDOWS; i++) {
  const block = ids.slice(i * LENGTH, (i + 1) * LENGTH);
  await sequence.clearHistory();
  const results = await sequence.controlledEvaluate(
    block.slice(0, -1).map((token) => [token, {generateNext: {probabilities: true, options: {temperature: 1, topK: 0, topP: 1, minP: 0}}}]));
  blocks.push(block);
  logprobs.push(results.map((result, at) => Math.log(result.next.probabilities.get(block[at + 1]))));
}
await sequence.clearHistory();
const prompt = encode(PROMPT);
const made = [];
for await (const token of sequence.evaluate(prompt, {temperature: 0})) {
  made.push(token);
  if (made.length === NEW || model.isEogToken(token)) break;
}
const mean = logprobs.reduce((sum, block) => sum + block.reduce((a, b) => a + b, 0) / block.length, 0) / WINDOWS;
const release = JSON.parse(fs.readFileSync(require.resolve("node-llama-cpp").replace(/dist\/index.js$/, "llama/binariesGithubRelease.json")));
const found = {
  loader: "llama.cpp", version: release.release, ids: blocks, logprobs, perplexity: Math.exp(-mean),
  greedy: model.detokenize(made, false, prompt)
};
fs.writeFileSync(out, JSON.stringify(found));
console.log(path, found.loader, found.version, "perplexity " + found.perplexity.toFixed(4), JSON.stringify(found.greedy));
await llama.dispose();
