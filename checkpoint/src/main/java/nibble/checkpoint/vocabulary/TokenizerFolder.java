package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.vocabulary.SentencePieceJson.Space;

/**
 * Finds out what the tokenizer files of a folder mean together. A tokenizer.json holds whatever else is there, and its
 * post-processor alone says what is put around a text, as in transformers 5; of other files one is made, and
 * {@code add_bos_token} says so.
 */
final class TokenizerFolder {
    private final Path folder;
    private final TokenizerSettings settings;

    TokenizerFolder(Path folder) {
        this.folder = folder;
        this.settings = TokenizerSettings.read(folder);
    }

    /**
     * A tokenizer.json made of other files.
     *
     * @param names what the format itself says of special tokens
     * @param bos whether a BOS leads where no file says so
     * @param stops texts that end a text or a turn
     */
    private record Made(ObjectNode json, Map<String, String> names, boolean bos, List<String> stops) {}

    Optional<TokenizerDescription> read() {
        Optional<byte[]> bytes = TokenizerJsonFile.bytes(folder, "tokenizer.json");
        return bytes.isPresent() ? Optional.of(given(bytes.get())) : made().map(this::described);
    }

    private TokenizerDescription given(byte[] bytes) {
        ObjectNode json = TokenizerJsonFile.object(folder.resolve("tokenizer.json"), bytes);
        boolean changed = AddedTokens.merge(json, settings.withIds(), settings.special(), false);
        SequencedMap<String, String> names = names(Map.of(), json);
        return new TokenizerDescription(
                folder,
                json,
                changed ? TokenizerJsonFile.bytes(json) : bytes,
                names,
                stops(json, names, List.of()),
                -1,
                new LinkedHashMap<>());
    }

    private TokenizerDescription described(Made made) {
        ObjectNode json = made.json();
        AddedTokens.merge(json, settings.withIds(), settings.special(), true);
        SequencedMap<String, String> names = names(made.names(), json);
        TokenizerDescription plain =
                new TokenizerDescription(folder, json, new byte[0], names, new TreeSet<>(), -1, new LinkedHashMap<>());
        // A class of transformers adds what its config asks for, and nothing else.
        boolean addBos = settings.flag("add_bos_token")
                .orElse(made.bos() && settings.tokenizerClass().isEmpty());
        boolean addEos = settings.flag("add_eos_token").orElse(false);
        int bos = addBos ? plain.id("bos_token") : -1;
        int eos = addEos ? plain.id("eos_token") : -1;
        json.set("post_processor", PostProcessor.json(plain.text("bos_token"), bos, plain.text("eos_token"), eos));
        byte[] bytes = TokenizerJsonFile.bytes(json);
        SequencedMap<String, byte[]> files = new LinkedHashMap<>();
        files.put("tokenizer.json", bytes);
        if (!settings.hasConfig()) {
            files.put(
                    "tokenizer_config.json",
                    TokenizerDescription.config(names, bos >= 0, eos >= 0)
                            .toPrettyString()
                            .getBytes(StandardCharsets.UTF_8));
        }
        return new TokenizerDescription(folder, json, bytes, names, stops(json, names, made.stops()), -1, files);
    }

    /** What the files name; else what the tokenizer's class or format does, where the vocabulary has it. */
    private SequencedMap<String, String> names(Map<String, String> ofFormat, ObjectNode json) {
        SequencedMap<String, String> names = new LinkedHashMap<>();
        settings.named().forEach((name, token) -> names.put(name, token.text()));
        // In one order, so that what is made of them has the same bytes each time.
        Stream.of(settings.defaults(), ofFormat)
                .map(TreeMap::new)
                .forEach(defaults -> defaults.forEach((name, text) -> {
                    if (AddedTokens.idOf(json.at("/model/vocab"), text) >= 0) {
                        names.putIfAbsent(name, text);
                    }
                }));
        return names;
    }

    private static SortedSet<Integer> stops(ObjectNode json, Map<String, String> names, List<String> more) {
        SortedSet<Integer> ids = new TreeSet<>();
        Stream.concat(Stream.of(names.getOrDefault("eos_token", "")), more.stream())
                .filter(text -> !text.isEmpty())
                .map(text -> TokenizerDescription.idOf(json, text))
                .filter(id -> id >= 0)
                .forEach(ids::add);
        return ids;
    }

    private Optional<Made> made() {
        Optional<ObjectNode> tekken = TokenizerJsonFile.object(folder, "tekken.json");
        if (tekken.isPresent()) {
            return Optional.of(tekken(TekkenModel.read(folder.resolve("tekken.json"), tekken.get())));
        }
        Optional<byte[]> model = TokenizerJsonFile.bytes(folder, "tokenizer.model");
        if (model.isPresent()) {
            return SentencePieceModel.read(model.get())
                    .map(this::sentencePiece)
                    .or(() -> TiktokenModel.read(model.get()).map(TokenizerFolder::tiktoken));
        }
        Optional<ObjectNode> vocabulary = TokenizerJsonFile.object(folder, "vocab.json");
        Optional<byte[]> merges = TokenizerJsonFile.bytes(folder, "merges.txt");
        return vocabulary.isPresent() && merges.isPresent()
                ? Optional.of(vocabularyAndMerges(vocabulary.get(), new String(merges.get(), StandardCharsets.UTF_8)))
                : Optional.empty();
    }

    private Made sentencePiece(SentencePieceModel model) {
        Space space = Space.NONE;
        boolean llama =
                settings.tokenizerClass().filter("LlamaTokenizer"::equals).isPresent();
        if (settings.flag("add_prefix_space").orElse(model.spaceInFront())) {
            space = llama && !settings.flag("legacy").orElse(false) ? Space.TEXT : Space.EACH_PART;
        }
        SequencedMap<String, String> names = new LinkedHashMap<>();
        name(names, "bos_token", model, model.bosId());
        name(names, "eos_token", model, model.eosId());
        name(names, "unk_token", model, model.unknownId());
        name(names, "pad_token", model, model.paddingId());
        return new Made(SentencePieceJson.of(model.pieces(), List.of(), space), names, true, List.of());
    }

    private static void name(Map<String, String> names, String name, SentencePieceModel model, int id) {
        if (id >= 0) {
            names.put(name, model.pieces().get(id).text());
        }
    }

    private static Made tiktoken(TiktokenModel model) {
        List<Piece> pieces = new ArrayList<>();
        model.tokens().forEach(token -> pieces.add(new Piece(token, 0, Piece.Kind.NORMAL)));
        model.specialTokens().forEach(token -> pieces.add(new Piece(token, 0, Piece.Kind.CONTROL)));
        PreTokenizer cut = model.cut();
        ObjectNode json = ByteLevelJson.of(pieces, RankedTokens.merges(model.tokens()), cut, false);
        // tiktoken looks a word up before it merges.
        ((ObjectNode) json.get("model")).put("ignore_merges", true);
        return new Made(json, model.names(), true, model.stops());
    }

    private static Made tekken(TekkenModel model) {
        List<Piece> pieces = new ArrayList<>();
        model.special().forEach(token -> pieces.add(new Piece(token, 0, Piece.Kind.CONTROL)));
        model.tokens().forEach(token -> pieces.add(new Piece(token, 0, Piece.Kind.NORMAL)));
        return new Made(
                ByteLevelJson.of(
                        pieces, RankedTokens.merges(model.tokens()), PreTokenizer.splitting(model.expression()), false),
                Map.of("bos_token", "<s>", "eos_token", "</s>", "unk_token", "<unk>", "pad_token", "<pad>"),
                true,
                List.of());
    }

    private Made vocabularyAndMerges(ObjectNode vocabulary, String merges) {
        List<String> pairs = new ArrayList<>();
        for (String line : merges.split("\r?\n")) {
            if (!line.startsWith("#version") && !line.isBlank()) {
                if (line.split(" ").length != 2) {
                    throw new BadCheckpointException(
                            folder.resolve("merges.txt"),
                            "found the line \"" + line + "\", expected two tokens; get the file again");
                }
                pairs.add(line);
            }
        }
        vocabulary.properties().forEach(entry -> {
            if (!entry.getValue().isInt() || entry.getValue().intValue() < 0) {
                throw new BadCheckpointException(
                        folder.resolve("vocab.json"),
                        "\"" + entry.getKey() + "\" has id " + entry.getValue()
                                + ", expected a whole number; get the file again");
            }
        });
        ObjectNode json = ByteLevelJson.of(
                List.of(),
                List.of(),
                PreTokenizer.named(isQwen() ? "qwen2" : "gpt-2").orElseThrow(),
                settings.flag("add_prefix_space").orElse(false));
        ObjectNode model = (ObjectNode) json.get("model");
        model.set("vocab", vocabulary);
        ArrayNode listed = (ArrayNode) model.get("merges");
        pairs.forEach(listed::add);
        Map<String, String> names = isQwen()
                ? Map.of("eos_token", "<|endoftext|>", "pad_token", "<|endoftext|>")
                : Map.of("bos_token", "<|endoftext|>", "eos_token", "<|endoftext|>", "unk_token", "<|endoftext|>");
        // The class itself adds the tokens that it names.
        List<AddedToken> ofClass = names.values().stream()
                .filter(vocabulary::has)
                .map(text -> AddedToken.special(vocabulary.path(text).intValue(), text))
                .distinct()
                .toList();
        AddedTokens.merge(json, List.of(), ofClass, false);
        return new Made(json, names, false, List.of());
    }

    private boolean isQwen() {
        String type = TokenizerJsonFile.object(folder, "config.json")
                .map(config -> config.path("model_type").asText(""))
                .orElse("");
        return settings.tokenizerClass().filter("Qwen2Tokenizer"::equals).isPresent() || type.matches("qwen[23].*");
    }
}
