// llama.cpp by its npm package: token ids of texts, and greedy continuations of prompts.
//
//     node llama_cpp.mjs FOLDER request.json answer.json
//
// FOLDER is where node-llama-cpp is installed. The request: model (a GGUF file), texts, prompts
// (ids), tokens (how many to write), threads, exact. The answer: ids, written, seconds (of all tokens
// behind the first of each prompt), begins (whether llama.cpp puts a token before every text), that
// token, and ends (those written that it takes for the end of a text). exact: keys and values in
// fp32, and no flash attention, which rounds to fp16 on a CPU.
import {readFileSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [folder, question, reply] = process.argv.slice(2);
const require = createRequire(folder + "/package.json");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(require.resolve("node-llama-cpp")));
const request = JSON.parse(readFileSync(question, "utf8"));

const options = {build: "never", gpu: false, maxThreads: request.threads};
const llama = await getLlama({...options, logLevel: LlamaLogLevel.error, skipDownload: true});
const vocabOnly = request.prompts.length === 0;
const model = await llama.loadModel({modelPath: request.model, vocabOnly, useMmap: false});
const ids = request.texts.map((text) => model.tokenize(text));
const written = [];
let seconds = 0;
if (!vocabOnly) {
    const types = {experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"};
    const exact = request.exact ? {flashAttention: false, ...types} : {};
    const contextSize = model.trainContextSize;
    const context = await model.createContext({contextSize, ...exact});
    const sequence = context.getSequence();
    for (const prompt of request.prompts) {
        const tokens = [];
        let start;
        await sequence.clearHistory();
        for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
            start ??= performance.now();
            tokens.push(token);
            if (tokens.length === request.tokens) break;
        }
        seconds += (performance.now() - start) / 1000;
        written.push(tokens);
    }
}
const ends = [...new Set(written.flat())].filter((token) => model.isEogToken(token));
const begins = model.tokens.shouldPrependBosToken;
const answer = {ids, written, seconds, ends, begins, begin: model.tokens.bos};
writeFileSync(reply, JSON.stringify(answer));
process.exit(0);
