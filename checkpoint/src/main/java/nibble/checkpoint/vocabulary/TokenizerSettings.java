package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import nibble.checkpoint.source.BadCheckpointException;

/**
 * What tokenizer_config.json, special_tokens_map.json and added_tokens.json say together. Where they disagree, the one
 * that transformers 5 goes by is taken: {@code added_tokens_decoder} of the first makes it leave the other two alone.
 */
final class TokenizerSettings {
    /** Names that every tokenizer has, in the order in which transformers adds their tokens. */
    private static final List<String> NAMES =
            List.of("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");

    /** What classes of transformers name where the files do not. */
    private static final Map<String, Map<String, String>> DEFAULTS = Map.of(
            "LlamaTokenizer",
            Map.of("bos_token", "<s>", "eos_token", "</s>", "unk_token", "<unk>"),
            "CodeLlamaTokenizer",
            Map.of("bos_token", "<s>", "eos_token", "</s>", "unk_token", "<unk>"),
            "GPT2Tokenizer",
            Map.of("bos_token", "<|endoftext|>", "eos_token", "<|endoftext|>", "unk_token", "<|endoftext|>"),
            "Qwen2Tokenizer",
            Map.of("eos_token", "<|endoftext|>", "unk_token", "<|endoftext|>", "pad_token", "<|endoftext|>"),
            "GemmaTokenizer",
            Map.of("bos_token", "<bos>", "eos_token", "<eos>", "unk_token", "<unk>", "pad_token", "<pad>"));

    private static final Set<String> CLASSES_WITHOUT_DEFAULTS = Set.of(
            "CohereTokenizer",
            "GPTNeoXTokenizer",
            "PreTrainedTokenizer",
            "PreTrainedTokenizerFast",
            "TokenizersBackend");

    private final ObjectNode config;
    private final boolean hasConfig;
    private final SequencedMap<String, AddedToken> named = new LinkedHashMap<>();
    private final List<AddedToken> extra = new ArrayList<>();
    private final List<AddedToken> withIds = new ArrayList<>();

    private TokenizerSettings(Path folder) {
        Optional<ObjectNode> file = TokenizerJsonFile.object(folder, "tokenizer_config.json");
        hasConfig = file.isPresent();
        config = file.orElseGet(JsonNodeFactory.instance::objectNode);
        ObjectNode map = TokenizerJsonFile.object(folder, "special_tokens_map.json")
                .orElseGet(JsonNodeFactory.instance::objectNode);
        boolean decoder = config.path("added_tokens_decoder").isObject();
        name(config, map, decoder);
        extra(config);
        if (!decoder) {
            extra(map);
        }
        if (decoder) {
            config.path("added_tokens_decoder")
                    .properties()
                    .forEach(entry -> withIds.add(AddedToken.of(
                            id(folder.resolve("tokenizer_config.json"), entry.getKey()), entry.getValue(), false)));
        } else {
            addedTokens(folder);
        }
        withIds.sort(java.util.Comparator.comparingInt(AddedToken::id));
    }

    static TokenizerSettings read(Path folder) {
        return new TokenizerSettings(folder);
    }

    private void name(JsonNode first, JsonNode map, boolean decoder) {
        Set<String> keys = new java.util.LinkedHashSet<>(NAMES);
        for (JsonNode source : List.of(first, map)) {
            source.fieldNames().forEachRemaining(key -> {
                if (key.endsWith("_token") && isToken(source.path(key))) {
                    keys.add(key);
                }
            });
        }
        for (String key : keys) {
            JsonNode inConfig = first.path(key);
            JsonNode inMap = map.path(key);
            JsonNode token = isToken(inMap) && (!decoder || !isToken(inConfig)) ? inMap : inConfig;
            if (isToken(token)) {
                named.put(key, AddedToken.of(-1, token, true).asSpecial());
            }
        }
    }

    private static boolean isToken(JsonNode token) {
        return !(token.isObject() ? token.path("content").asText("") : token.isTextual() ? token.asText() : "")
                .isEmpty();
    }

    /** {@code extra_special_tokens} as a list or an object of named ones, and its older name. */
    private void extra(JsonNode source) {
        for (String key : List.of("extra_special_tokens", "additional_special_tokens")) {
            JsonNode tokens = source.path(key);
            tokens.properties().forEach(entry -> {
                if (isToken(entry.getValue())) {
                    named.putIfAbsent(
                            entry.getKey(),
                            AddedToken.of(-1, entry.getValue(), true).asSpecial());
                }
            });
            if (tokens.isArray()) {
                for (JsonNode token : tokens) {
                    if (isToken(token)) {
                        extra.add(AddedToken.of(-1, token, true).asSpecial());
                    }
                }
            }
        }
    }

    private void addedTokens(Path folder) {
        Set<String> special = new HashSet<>();
        special().forEach(token -> special.add(token.text()));
        TokenizerJsonFile.object(folder, "added_tokens.json")
                .ifPresent(json -> json.properties().forEach(entry -> {
                    boolean isSpecial = special.contains(entry.getKey());
                    int id = id(
                            folder.resolve("added_tokens.json"),
                            entry.getValue().asText());
                    withIds.add(new AddedToken(id, entry.getKey(), isSpecial, !isSpecial, false, false, false));
                }));
    }

    private static int id(Path file, String text) {
        try {
            int id = Integer.parseInt(text);
            if (id >= 0 && id < 1 << 24) {
                return id;
            }
        } catch (NumberFormatException e) {
            // Said below.
        }
        throw new BadCheckpointException(
                file, "an added token has id " + text + ", expected a whole number; get the file again");
    }

    boolean hasConfig() {
        return hasConfig;
    }

    /** The class of transformers, without its old "Fast", if it is one that is known. */
    Optional<String> tokenizerClass() {
        String name = config.path("tokenizer_class").asText("").replaceFirst("Fast$", "");
        name = name.equals("PreTrainedTokenizer") ? "PreTrainedTokenizerFast" : name;
        return DEFAULTS.containsKey(name) || CLASSES_WITHOUT_DEFAULTS.contains(name)
                ? Optional.of(name)
                : Optional.empty();
    }

    Optional<Boolean> flag(String key) {
        return Optional.of(config.path(key)).filter(JsonNode::isBoolean).map(JsonNode::asBoolean);
    }

    /** Tokens by the names of their roles, as {@code bos_token}. */
    SequencedMap<String, AddedToken> named() {
        return named;
    }

    /** What the class names where the files do not. */
    Map<String, String> defaults() {
        return tokenizerClass()
                .map(name -> DEFAULTS.getOrDefault(name, Map.of()))
                .orElse(Map.of());
    }

    /** Special tokens, named or not, in the order in which transformers adds those that a vocabulary lacks. */
    List<AddedToken> special() {
        List<AddedToken> all = new ArrayList<>(named.values());
        all.addAll(extra);
        return all;
    }

    /** Added tokens whose ids are given, by id. */
    List<AddedToken> withIds() {
        return withIds;
    }
}
