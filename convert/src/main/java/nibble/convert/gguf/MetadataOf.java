package nibble.convert.gguf;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.gguf.GgufValue;
import nibble.checkpoint.gguf.GgufValue.F32;
import nibble.checkpoint.gguf.GgufValue.Flag;
import nibble.checkpoint.gguf.GgufValue.Text;
import nibble.checkpoint.gguf.GgufValue.U32;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.GgufTraits;
import nibble.checkpoint.model.LlamaFamily;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.PhiFamily;
import nibble.checkpoint.model.QwenFamily;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.vocabulary.Piece;
import nibble.checkpoint.vocabulary.StatedFlags;
import nibble.checkpoint.vocabulary.Vocabulary;
import nibble.convert.blocks.Importance;

/** The metadata of a GGUF file: what llama.cpp must know to run and to tokenize. */
final class MetadataOf {
    private final SequencedMap<String, GgufValue> pairs = new LinkedHashMap<>();

    private final String architecture;

    private MetadataOf(Architecture architecture) {
        this.architecture = architecture.ggufName();
    }

    /**
     * The keys of a file.
     *
     * @param name of the source where nothing else names it
     * @param parameters weights of the file
     * @throws nibble.checkpoint.source.BadCheckpointException if the model has something that GGUF has no form for
     */
    static SequencedMap<String, GgufValue> checkpoint(
            Checkpoint source,
            String name,
            GgufMix mix,
            long parameters,
            Vocabulary vocabulary,
            Optional<Importance> importance) {
        GgufForm.require(source);
        MetadataOf metadata = new MetadataOf(source.config().architecture());
        metadata.pairs.putAll(GeneralMetadata.of(source, name, mix, parameters));
        metadata.model(source);
        metadata.tokenizer(vocabulary);
        importance.ifPresent(metadata::importance);
        return metadata.pairs;
    }

    private void model(Checkpoint source) {
        ModelConfig config = source.config();
        put("context_length", new U32(contextLength(config)));
        put("embedding_length", new U32(config.hiddenSize()));
        put("block_count", new U32(config.layers()));
        put("feed_forward_length", new U32(config.intermediateSize()));
        put("attention.head_count", new U32(config.heads()));
        put("attention.head_count_kv", new U32(config.latent().isPresent() ? 1 : config.kvHeads()));
        put("attention." + config.architecture().ggufEpsilon(), new F32((float) config.rmsNormEps()));
        if (statesHeadSize(config)) {
            put("attention.key_length", new U32(config.headDim()));
            put("attention.value_length", new U32(config.headDim()));
        }
        new ArchitectureMetadata(config).pairs().forEach(this::put);
    }

    /** Where it is not the width by the heads, and where llama.cpp's converter has it all the same. */
    private static boolean statesHeadSize(ModelConfig config) {
        GgufTraits traits = config.architecture().gguf();
        if (config.latent().isPresent()) {
            return false;
        }
        return config.headDim() * config.heads() != config.hiddenSize()
                || traits.tied() && !traits.square()
                || (!traits.square()
                                || config.architecture() == QwenFamily.QWEN2
                                || config.architecture().isParallel())
                        && config.json().path("head_dim").isInt();
    }

    /** By what weights were weighed, in llama.cpp's keys. */
    private void importance(Importance importance) {
        pairs.put("quantize.imatrix.dataset", new Text(String.join(", ", importance.datasets())));
        pairs.put("quantize.imatrix.entries_count", new U32(importance.entries().size()));
        pairs.put("quantize.imatrix.chunks_count", new U32(importance.chunks()));
    }

    /** As far as a file's reader computes what the model does: llama.cpp's {@code llama} has no window. */
    private static int contextLength(ModelConfig config) {
        return config.architecture() == PhiFamily.PHI3
                        || config.architecture() == PhiFamily.PHI_MOE
                        || config.architecture().gguf().windowEvery() > 0
                ? config.maxPositions()
                : Math.min(config.maxPositions(), config.window());
    }

    /** What a user should know of the file, in words. */
    static List<String> notes(ModelConfig config) {
        if (config.architecture().headNorm() == HeadNorm.CENTERED && config.layers() < GgufForm.NORMED_LAYERS) {
            return List.of("llama.cpp reads norms of heads of command-r in models of " + GgufForm.NORMED_LAYERS
                    + " layers or more; it will refuse this file of " + config.layers());
        }
        int length = contextLength(config);
        return length == config.maxPositions()
                ? List.of()
                : List.of("the file states a context of " + length + " tokens, not " + config.maxPositions()
                        + ": attention sees a window of " + config.window() + " tokens, which GGUF's "
                        + config.architecture().ggufName() + " has no form for");
    }

    private void put(String key, GgufValue value) {
        pairs.put(architecture + "." + key, value);
    }

    private void tokenizer(Vocabulary vocabulary) {
        List<Piece> pieces = vocabulary.pieces();
        pairs.put("tokenizer.ggml.model", new Text(vocabulary.model()));
        pairs.put("tokenizer.ggml.pre", new Text(vocabulary.split()));
        pairs.put(
                "tokenizer.ggml.tokens",
                new GgufValue.Texts(pieces.stream().map(Piece::text).toList()));
        if (vocabulary.model().equals(Vocabulary.SENTENCE_PIECE)) {
            pairs.put(
                    "tokenizer.ggml.scores",
                    new GgufValue.F32s(pieces.stream().map(Piece::score).toList()));
        } else {
            pairs.put("tokenizer.ggml.merges", new GgufValue.Texts(vocabulary.merges()));
        }
        pairs.put(
                "tokenizer.ggml.token_type",
                new GgufValue.I32s(
                        pieces.stream().map(piece -> piece.kind().id()).toList()));
        id("tokenizer.ggml.bos_token_id", vocabulary.bosId());
        id("tokenizer.ggml.eos_token_id", vocabulary.eosId());
        id("tokenizer.ggml.eot_token_id", vocabulary.eotId());
        id("tokenizer.ggml.unknown_token_id", vocabulary.unknownId());
        id("tokenizer.ggml.padding_token_id", vocabulary.paddingId());
        vocabulary.stated().ids().forEach((key, id) -> id("tokenizer.ggml." + key, id));
        pairs.put("tokenizer.ggml.add_bos_token", new Flag(vocabulary.addBos()));
        StatedFlags stated = vocabulary.stated();
        stated.addSeparator().ifPresent(add -> pairs.put("tokenizer.ggml.add_sep_token", new Flag(add)));
        if (vocabulary.addEos() || stated.addEos().isPresent()) {
            pairs.put("tokenizer.ggml.add_eos_token", new Flag(vocabulary.addEos()));
        }
        boolean sentencePiece = vocabulary.model().equals(Vocabulary.SENTENCE_PIECE);
        boolean llama = architecture.equals(LlamaFamily.LLAMA.ggufName());
        if (llama && stated.addSpacePrefix().isPresent() || sentencePiece && !vocabulary.spaceInFront()) {
            pairs.put("tokenizer.ggml.add_space_prefix", new Flag(vocabulary.spaceInFront()));
        }
        chatTemplates(vocabulary.chatTemplates());
    }

    /** As llama.cpp's converter writes them: the default one, the others by name, and a list of their names. */
    private void chatTemplates(ChatTemplates templates) {
        List<String> names = new ArrayList<>();
        templates.sources().forEach((name, source) -> {
            if (name.equals(ChatTemplates.DEFAULT)) {
                pairs.put(ChatTemplates.GGUF_KEY, new Text(source));
            } else {
                String plain = name.replaceAll("[^a-zA-Z0-9]", "_");
                pairs.put(ChatTemplates.GGUF_KEY + "." + plain, new Text(source));
                names.add(plain);
            }
        });
        if (!names.isEmpty()) {
            pairs.put("tokenizer.chat_templates", new GgufValue.Texts(names));
        }
    }

    private void id(String key, int id) {
        if (id >= 0) {
            pairs.put(key, new U32(id));
        }
    }
}
