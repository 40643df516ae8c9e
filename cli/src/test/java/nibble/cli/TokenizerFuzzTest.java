package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.vocabulary.Piece;
import nibble.checkpoint.vocabulary.StatedFlags;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.checkpoint.vocabulary.Vocabulary;
import nibble.cli.option.ModelTokenizer;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Tokenizer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Whatever tokenizer files or GGUF's metadata hold, they are read or refused in the project's own words, soon, and in
 * memory of their own size. {@code NIBBLE_FUZZ_SECONDS} makes it go on for longer than its few seconds.
 */
class TokenizerFuzzTest {
    private static final long SECONDS = Long.parseLong(System.getenv().getOrDefault("NIBBLE_FUZZ_SECONDS", "4"));
    private static final long SEED = Long.parseLong(System.getenv().getOrDefault("NIBBLE_FUZZ_SEED", "20261125"));
    private static final String TEXT = " The city of\n<|im_start|>12345 é🦙 </s>";

    /** Bytes that one case may take, beside so many for each byte of its files. */
    private static final long FIXED_BYTES = 16 << 20;

    private static final long BYTES_EACH = 2000;
    private static final long MAX_NANOS = 20_000_000_000L;

    /** Steps and models of a tokenizer.json. */
    private static final List<String> TYPES = List.of(
            "Sequence",
            "Strip",
            "Prepend",
            "Replace",
            "NFC",
            "NFKD",
            "Lowercase",
            "Metaspace",
            "Digits",
            "ByteLevel",
            "Punctuation",
            "Whitespace",
            "Split",
            "Fuse",
            "WordPiece",
            "BPEDecoder",
            "CTC",
            "ByteFallback",
            "Unigram",
            "WordLevel",
            "RobertaProcessing",
            "BertProcessing",
            "TemplateProcessing");

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private long read;
    private long refused;

    @Test
    void changed_tokenizer_files_are_read_or_refused() throws IOException {
        List<Map<String, byte[]>> sets = List.of(
                tokenizerJson(),
                sentencePiece(),
                tokenizerJson(),
                tiktoken(),
                tokenizerJson(),
                tekken(),
                vocabularyAndMerges());
        Random random = new Random(SEED);
        long end = System.nanoTime() + SECONDS * 1_000_000_000L / 2;
        for (int round = 0; round < 50 || System.nanoTime() < end; round++) {
            Map<String, byte[]> files = new LinkedHashMap<>(sets.get(round % sets.size()));
            for (int change = random.nextInt(3); change >= 0; change--) {
                List<String> names = new ArrayList<>(files.keySet());
                String name = names.get(random.nextInt(names.size()));
                files.put(name, changed(name, files.get(name), random));
            }
            long bytes = 0;
            for (Map.Entry<String, byte[]> file : files.entrySet()) {
                Files.write(folder.resolve(file.getKey()), file.getValue());
                bytes += file.getValue().length;
            }
            check(round, bytes, () -> TokenizerDescription.ofFolder(folder));
            for (String name : files.keySet()) {
                Files.delete(folder.resolve(name));
            }
        }
        assertThat(read).isPositive();
        assertThat(refused).isPositive();
    }

    @Test
    void changed_metadata_is_read_or_refused() {
        Random random = new Random(SEED);
        long end = System.nanoTime() + SECONDS * 1_000_000_000L / 2;
        for (int round = 0; round < 50 || System.nanoTime() < end; round++) {
            Vocabulary changed = vocabulary(random);
            long bytes = changed.pieces().stream()
                            .mapToLong(piece -> 40 + piece.text().length())
                            .sum()
                    + changed.merges().stream().mapToLong(String::length).sum();
            check(
                    round,
                    bytes,
                    () -> Optional.of(
                            changed.description(Path.of("fuzz.gguf"), Optional.empty(), random.nextBoolean())));
        }
        assertThat(read).isPositive();
        assertThat(refused).isPositive();
    }

    private interface Described {
        Optional<TokenizerDescription> get();
    }

    private void check(int round, long bytes, Described described) {
        com.sun.management.ThreadMXBean threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();
        long start = System.nanoTime();
        try {
            Optional<TokenizerDescription> found = described.get();
            if (found.isPresent()) {
                found.get().leadingIds();
                found.get().spaceInFront();
                found.get().beyond(4096);
                try (Tokenizer tokenizer = ModelTokenizer.open(found.get())) {
                    tokenizer.decode(tokenizer.encode(TEXT, true));
                }
                read++;
            }
        } catch (BadCheckpointException | BadDatasetException e) {
            assertThat(e.getMessage()).isNotBlank();
            refused++;
        } catch (RuntimeException | Error e) {
            throw new AssertionError("seed " + SEED + ", round " + round, e);
        }
        assertThat(threads.getCurrentThreadAllocatedBytes() - before)
                .as("bytes taken in round %d of seed %d", round, SEED)
                .isLessThan(FIXED_BYTES + BYTES_EACH * bytes);
        assertThat(System.nanoTime() - start)
                .as("time of round %d of seed %d", round, SEED)
                .isLessThan(MAX_NANOS);
    }

    private static byte[] changed(String name, byte[] bytes, Random random) throws IOException {
        if (name.endsWith(".json") && random.nextInt(5) > 0) {
            try {
                JsonNode json = JSON.readTree(bytes);
                for (int i = random.nextInt(3); i >= 0; i--) {
                    json = changed(json, random);
                }
                return JSON.writeValueAsBytes(json);
            } catch (com.fasterxml.jackson.core.JsonProcessingException e) {
                // Was changed to no JSON before.
            }
        }
        byte[] changed = random.nextInt(6) == 0
                ? java.util.Arrays.copyOf(bytes, random.nextInt(bytes.length + 1))
                : bytes.clone();
        for (int i = random.nextInt(4); i >= 0 && changed.length > 0; i--) {
            changed[random.nextInt(changed.length)] = (byte) random.nextInt(256);
        }
        return changed;
    }

    private static JsonNode changed(JsonNode json, Random random) {
        if (json.isContainerNode() && !json.isEmpty() && random.nextInt(5) > 0) {
            int at = random.nextInt(json.size());
            if (json instanceof ArrayNode array) {
                if (random.nextInt(8) == 0) {
                    array.remove(at);
                } else {
                    array.set(at, changed(array.get(at), random));
                }
            } else if (json instanceof ObjectNode object) {
                List<String> names = new ArrayList<>();
                object.fieldNames().forEachRemaining(names::add);
                String name = names.get(at);
                JsonNode value = object.get(name);
                switch (random.nextInt(10)) {
                    case 0 -> object.remove(name);
                    case 1 -> object.set(names.get(random.nextInt(names.size())), value.deepCopy());
                    case 2 -> object.set("added_tokens_decoder", other(random));
                    default -> object.set(name, changed(value, random));
                }
            }
            return json;
        }
        return other(random);
    }

    private static JsonNode other(Random random) {
        return switch (random.nextInt(14)) {
            case 0 -> NODES.nullNode();
            case 1 -> NODES.numberNode(-1);
            case 2 -> NODES.numberNode(Long.MAX_VALUE);
            case 3 -> NODES.numberNode(1e300);
            case 4 -> NODES.numberNode(random.nextInt(600));
            case 5 -> NODES.textNode("");
            case 6 -> NODES.textNode("<s>");
            case 7 -> NODES.textNode("(a*)*b|\\p{L}+");
            case 8 -> NODES.textNode("▁\ud83e\udd99\u0000");
            case 9 -> NODES.booleanNode(random.nextBoolean());
            case 10 -> NODES.arrayNode().add(NODES.arrayNode().add(1)).add("x");
            case 11 -> NODES.objectNode().put("content", "<|im_start|>").put("special", true);
            case 12 -> NODES.objectNode().set("999999999", NODES.objectNode().put("content", "<far>"));
            default -> NODES.textNode(TYPES.get(random.nextInt(TYPES.size())));
        };
    }

    private static Vocabulary vocabulary(Random random) {
        boolean sentencePiece = random.nextBoolean();
        List<Piece> pieces = new ArrayList<>();
        List<String> merges = new ArrayList<>();
        String[] texts = {
            "<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "Ġ", "é", "<0x0A>", "", " ", "\u0000", "🦙", "▁▁", "<|eot_id|>"
        };
        for (int i = random.nextInt(30); i >= 0; i--) {
            pieces.add(new Piece(
                    texts[random.nextInt(texts.length)],
                    random.nextInt(4) == 0 ? Float.NaN : random.nextFloat(),
                    Piece.Kind.of(random.nextInt(7))));
            if (random.nextInt(3) == 0) {
                merges.add(texts[random.nextInt(texts.length)] + " " + texts[random.nextInt(texts.length)]);
            }
        }
        String[] splits = {"llama-bpe", "qwen2", "default", "gpt-2", "nonsense", "deepseek-llm", "tekken"};
        return new Vocabulary(
                sentencePiece ? "llama" : "gpt2",
                splits[random.nextInt(splits.length)],
                pieces,
                merges,
                id(pieces, random),
                id(pieces, random),
                id(pieces, random),
                id(pieces, random),
                id(pieces, random),
                random.nextBoolean(),
                random.nextBoolean(),
                random.nextBoolean(),
                new StatedFlags(flag(random), flag(random), flag(random), new LinkedHashMap<>()),
                new ChatTemplates(new LinkedHashMap<>(
                        random.nextBoolean() ? Map.of("default", "{{ x }}", "rag", "r") : Map.of())));
    }

    private static Optional<Boolean> flag(Random random) {
        return random.nextBoolean() ? Optional.of(random.nextBoolean()) : Optional.empty();
    }

    private static int id(List<Piece> pieces, Random random) {
        return random.nextInt(pieces.size() + 1) - 1;
    }

    private static Map<String, byte[]> with(Map<String, String> texts) {
        Map<String, byte[]> files = new LinkedHashMap<>();
        texts.forEach((name, text) -> files.put(name, text.getBytes(StandardCharsets.UTF_8)));
        files.put("tokenizer_config.json", """
            {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": true, "tokenizer_class": "LlamaTokenizer",
             "extra_special_tokens": ["<|x|>"], "pad_token": "<pad>"}\
            """.getBytes(StandardCharsets.UTF_8));
        files.put(
                "added_tokens.json", "{\"<|im_start|>\": 4096, \"<|im_end|>\": 4097}".getBytes(StandardCharsets.UTF_8));
        files.put(
                "special_tokens_map.json",
                "{\"additional_special_tokens\": [\"<|im_end|>\"], \"unk_token\": \"<unk>\"}"
                        .getBytes(StandardCharsets.UTF_8));
        return files;
    }

    private static Map<String, byte[]> tokenizerJson() {
        return with(Map.of("tokenizer.json", """
            {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
             {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
             {"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
             "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
              {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
             "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\\\p{N}{1,3}"},
              "behavior": "Isolated", "invert": false}]},
             "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
              {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
              {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
             "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
              {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
             "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
              "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
              "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "<0x0A>": 3, "▁": 4, "T": 5, "h": 6, "e": 7, "Th": 8, "The": 9, "▁The": 10},
              "merges": [["T", "h"], ["Th", "e"], ["▁", "The"]]}}\
            """));
    }

    private static Map<String, byte[]> sentencePiece() throws IOException {
        Map<String, byte[]> files = with(Map.of());
        byte[] whole =
                Files.readAllBytes(Path.of(System.getProperty("nibble.root"), "models", "wiki-7m", "tokenizer.model"));
        files.put("tokenizer.model", java.util.Arrays.copyOf(whole, whole.length));
        return files;
    }

    private static Map<String, byte[]> tiktoken() {
        StringBuilder list = new StringBuilder();
        for (int b = 0; b < 256; b++) {
            list.append(Base64.getEncoder().encodeToString(new byte[] {(byte) b}))
                    .append(' ')
                    .append(b)
                    .append('\n');
        }
        return with(Map.of("tokenizer.model", list + "VGg= 256\nVGhl 257\nIFRoZQ== 258\n"));
    }

    private static Map<String, byte[]> tekken() {
        StringBuilder list = new StringBuilder();
        for (int b = 0; b < 256; b++) {
            list.append("{\"rank\":")
                    .append(b)
                    .append(",\"token_bytes\":\"")
                    .append(Base64.getEncoder().encodeToString(new byte[] {(byte) b}))
                    .append("\"},");
        }
        return with(Map.of(
                "tekken.json",
                "{\"config\":{\"pattern\":\"\\\\p{L}+|\\\\s+\",\"default_vocab_size\":281,"
                    + "\"default_num_special_tokens\":24},\"special_tokens\":[{\"rank\":0,\"token_str\":\"<unk>\"},{\"rank\":1,\"token_str\":\"<s>\"},"
                    + "{\"rank\":2,\"token_str\":\"</s>\"}],\"vocab\":[" + list
                        + "{\"rank\":256,\"token_bytes\":\"VGg=\"}]}"));
    }

    private static Map<String, byte[]> vocabularyAndMerges() {
        return with(Map.of(
                "vocab.json", "{\"T\":0,\"h\":1,\"e\":2,\"Th\":3,\"The\":4,\"Ġ\":5,\"ĠThe\":6,\"<|endoftext|>\":7}",
                "merges.txt", "#version: 0.2\nT h\nTh e\nĠ The\n",
                "config.json", "{\"model_type\":\"qwen2\"}"));
    }
}
