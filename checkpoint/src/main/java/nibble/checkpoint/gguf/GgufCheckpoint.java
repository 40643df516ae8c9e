package nibble.checkpoint.gguf;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Architectures;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.HeadRows;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import org.jspecify.annotations.Nullable;

/**
 * Reads a model from one GGUF file or several, with Hugging Face's names, config and order of query and key rows.
 * Blocks decode to F32 when a tensor's data is asked for.
 */
public final class GgufCheckpoint {
    private static final Pattern LAYER = Pattern.compile("blk\\.(\\d{1,4})\\.(\\w+\\.(?:weight|bias))");
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final String ROPE_FACTORS = "rope_freqs.weight";

    private final GgufFile file;
    private final GgufMetadata metadata;
    private final SequencedMap<String, StoredTensor> tensors = new LinkedHashMap<>();
    private final Map<String, GgufBlocks> blocks = new HashMap<>();
    private final Architecture architecture;
    private final Map<String, String> layerNames;
    private final int headDim;

    /**
     * Opens a GGUF file as a checkpoint.
     *
     * @throws BadCheckpointException if the file is damaged or holds an architecture that is not supported
     */
    public GgufCheckpoint(Path path, Arena arena) {
        List<GgufFile> files = GgufSplit.open(path, arena);
        file = files.getFirst();
        metadata = file.metadata();
        String name = metadata.text("general.architecture").orElseThrow(() -> metadata.missing("general.architecture"));
        boolean experts = metadata.integer(name + ".expert_count").orElse(0L) > 0;
        architecture = Architectures.ofGguf(name)
                .filter(found -> !experts && !found.mixesExperts())
                .orElseThrow(() -> new BadCheckpointException(
                        path,
                        "architecture \"" + name + "\"" + (experts ? " with experts" : "")
                                + " is not yet supported; supported: "
                                + Architectures.all().stream()
                                        .map(Architecture::ggufName)
                                        .distinct()
                                        .filter(other ->
                                                Architectures.ofGguf(other).isPresent())
                                        .collect(Collectors.joining(", "))));
        OtherMetadata.refuse(metadata, name);
        layerNames = GgufNames.layerNames(architecture);
        headDim = headDim(path);
        for (GgufFile part : files) {
            part.tensors().values().forEach(tensor -> add(part.path(), tensor));
        }
    }

    private String key(String name) {
        return architecture.ggufName() + "." + name;
    }

    private int headDim(Path path) {
        long heads = metadata.requiredUniform(key("attention.head_count"));
        long width = metadata.requiredInteger(key("embedding_length"));
        if (heads < 1 || heads > 1 << 16 || width < 1 || width > 1 << 20) {
            throw new BadCheckpointException(path, heads + " heads and width " + width + " are no Llama's");
        }
        long dim = metadata.integer(key("attention.key_length")).orElse(width / heads);
        long value = metadata.integer(key("attention.value_length")).orElse(dim);
        long rotated = metadata.integer(key("rope.dimension_count")).orElse(dim);
        if (dim < 2 || dim > 1 << 16 || dim % 2 != 0 || value != dim || rotated != dim) {
            throw new BadCheckpointException(
                    path,
                    "heads of " + dim + " keys, " + value + " values, " + rotated
                            + " rotated; supported: one even number for all three");
        }
        return (int) dim;
    }

    private void add(Path path, GgufFile.Tensor tensor) {
        String name = name(tensor.name());
        if (name == null) {
            return;
        }
        if (!tensor.type().isRead()) {
            throw new BadCheckpointException(
                    path,
                    "tensor " + tensor.name() + " is of type " + tensor.type() + ", which is not read; supported: "
                            + GgufType.allRead());
        }
        boolean heads = GgufNames.interleavesHeads(architecture)
                && (name.contains(Linear.Q.path()) || name.contains(Linear.K.path()));
        long rows = tensor.shape().dim(0);
        if (heads && (rows == 0 || rows % headDim != 0)) {
            throw new BadCheckpointException(
                    path, "tensor " + tensor.name() + ": " + rows + " rows are no whole number of heads of " + headDim);
        }
        TensorSpec spec = new TensorSpec(name, tensor.type().decoded(), tensor.shape());
        if (tensor.shape().rank() < 2) {
            // Small, so made whole wherever rows are asked for.
            tensors.put(
                    name,
                    new StoredTensor(
                            spec, path, tensor.type().name(), tensor.data().byteSize(), () -> {
                                MemorySegment data =
                                        heads ? HeadRows.toHalves(tensor.data(), rows, headDim) : tensor.data();
                                MemorySegment values =
                                        tensor.type().isPlain() ? data : decoded(tensor.type(), data, spec);
                                return isOffsetNorm(name) ? lessOffset(values, spec) : values;
                            }));
            return;
        }
        if (tensor.shape().rank() == 2
                && rows <= Integer.MAX_VALUE
                && tensor.shape().dim(1) <= Integer.MAX_VALUE) {
            int columns = (int) tensor.shape().dim(1);
            blocks.put(name, new GgufBlocks(tensor.type(), tensor.data(), (int) rows, columns, heads ? headDim : 0));
        }
        tensors.put(
                name,
                new StoredTensor(
                        spec,
                        path,
                        tensor.type().name(),
                        tensor.data().byteSize(),
                        () -> {
                            MemorySegment data =
                                    heads ? HeadRows.toHalves(tensor.data(), rows, headDim) : tensor.data();
                            return tensor.type().isPlain() ? data : decoded(tensor.type(), data, spec);
                        },
                        (first, count) -> rows(tensor, heads, first, count)));
    }

    private MemorySegment rows(GgufFile.Tensor tensor, boolean heads, long first, long count) {
        long rowBytes = tensor.data().byteSize() / tensor.shape().dim(0);
        MemorySegment stored = heads
                ? HeadRows.toHalves(tensor.data(), rowBytes, headDim, first, count)
                : tensor.data().asSlice(first * rowBytes, count * rowBytes);
        if (tensor.type().isPlain()) {
            return stored;
        }
        long elements =
                stored.byteSize() / tensor.type().blockBytes() * tensor.type().blockElements();
        MemorySegment values = MemorySegment.ofArray(new byte[Math.toIntExact(4 * elements)]);
        BlockDecoder.decode(tensor.type(), stored, values);
        return values;
    }

    private boolean isOffsetNorm(String name) {
        return architecture.normOffset() != 0 && name.endsWith("norm.weight");
    }

    /** Norms are gains in GGUF. */
    private MemorySegment lessOffset(MemorySegment gains, TensorSpec spec) {
        if (spec.dtype() != DType.F32) {
            throw new BadCheckpointException(
                    file.path(),
                    "tensor " + spec.name() + ": a norm of " + spec.dtype() + " is not supported; supported: F32");
        }
        MemorySegment stored = Arena.ofAuto().allocate(gains.byteSize(), 64);
        for (long i = 0; i < spec.shape().elements(); i++) {
            stored.set(FLOAT, 4 * i, gains.get(FLOAT, 4 * i) - architecture.normOffset());
        }
        return stored;
    }

    private static MemorySegment decoded(GgufType type, MemorySegment blocks, TensorSpec spec) {
        MemorySegment values = Arena.ofAuto().allocate(spec.bytes(), 64);
        BlockDecoder.decode(type, blocks, values);
        return values;
    }

    /** The Hugging Face name, or null where a model has no use for the tensor. */
    private @Nullable String name(String name) {
        switch (name) {
            case "token_embd.weight":
                return TensorNames.EMBEDDING;
            case "output_norm.weight":
                return TensorNames.FINAL_NORM;
            case "output.weight":
                return TensorNames.HEAD;
            case ROPE_FACTORS, "rope_factors_long.weight", "rope_factors_short.weight":
                return null;
            default:
                break;
        }
        Matcher layer = LAYER.matcher(name);
        if (!layer.matches()) {
            throw unknown(name);
        }
        String within = layerNames.get(layer.group(2));
        if (within != null) {
            return TensorNames.layer(Integer.parseInt(layer.group(1))) + within;
        }
        // Old files repeat the rope frequencies in each layer.
        if (layer.group(2).equals("attn_rot_embd.weight")) {
            return null;
        }
        throw unknown(name);
    }

    /** llama.cpp rejects a file with tensors that the architecture has no use for. */
    private BadCheckpointException unknown(String name) {
        return new BadCheckpointException(
                file.path(),
                "tensor " + name + " is not one that \"" + architecture.ggufName()
                        + "\" has here; the file is of a variant that is not supported");
    }

    /** Returns the tensors by their Hugging Face names. */
    public SequencedMap<String, StoredTensor> tensors() {
        return tensors;
    }

    /** Returns the matrices as they lie in the files, by their Hugging Face names. */
    public Map<String, GgufBlocks> blocks() {
        return blocks;
    }

    /** Returns the model's config.json. */
    public ObjectNode configJson() {
        long heads = metadata.requiredUniform(key("attention.head_count"));
        double theta = metadata.number(key("rope.freq_base")).orElse(10_000.0);
        StoredTensor embedding = tensors.get(TensorNames.EMBEDDING);
        if (embedding == null) {
            throw new BadCheckpointException(file.path(), "tensor token_embd.weight is missing; get the file again");
        }
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.putArray("architectures").add(architecture.className());
        json.put("model_type", architecture.modelType())
                .put("hidden_act", architecture.activation().configName());
        if (tensors.containsKey(Linear.O.module(0) + ".bias")) {
            json.put("attention_bias", true);
        }
        metadata.integer(key("attention.sliding_window"))
                .filter(window -> window > 0)
                .ifPresent(window -> json.put("sliding_window", window));
        json.put("hidden_size", metadata.requiredInteger(key("embedding_length")));
        json.put("intermediate_size", metadata.requiredUniform(key("feed_forward_length")));
        json.put("num_hidden_layers", metadata.requiredInteger(key("block_count")));
        json.put("num_attention_heads", heads).put("head_dim", headDim);
        json.put(
                "num_key_value_heads",
                metadata.uniform(key("attention.head_count_kv")).orElse(heads));
        json.put("vocab_size", embedding.spec().shape().dim(0));
        json.put("max_position_embeddings", metadata.requiredInteger(key("context_length")));
        // A float in the file: 1e-5 comes back as 9.99999974737875e-6 unless rounded to a float's digits.
        double epsilon = metadata.requiredNumber(key("attention.layer_norm_rms_epsilon"));
        json.put("rms_norm_eps", Double.parseDouble(Float.toString((float) epsilon)));
        json.put("rope_theta", theta);
        json.set("rope_scaling", ropeScaling(theta));
        json.put("tie_word_embeddings", !tensors.containsKey(TensorNames.HEAD)).put("torch_dtype", "float16");
        metadata.integer("tokenizer.ggml.bos_token_id").ifPresent(id -> json.put("bos_token_id", id));
        metadata.integer("tokenizer.ggml.eos_token_id").ifPresent(id -> json.put("eos_token_id", id));
        return json;
    }

    private com.fasterxml.jackson.databind.JsonNode ropeScaling(double theta) {
        if (file.tensors().containsKey("rope_factors_long.weight")) {
            throw new BadCheckpointException(
                    file.path(),
                    "rope with long and short factors (longrope) is not supported; supported: none, linear,"
                            + " llama3's factors");
        }
        com.fasterxml.jackson.databind.JsonNode linear = linearScaling();
        GgufFile.Tensor factors = file.tensors().get(ROPE_FACTORS);
        if (factors == null || RopeFactors.areOnes(factors)) {
            return linear;
        }
        if (!linear.isNull()) {
            throw new BadCheckpointException(
                    file.path(),
                    "rope is scaled both by tensor " + ROPE_FACTORS + " and by " + key("rope.scaling.factor")
                            + "; not supported");
        }
        return RopeFactors.llama3(file.path(), factors, theta, headDim);
    }

    private com.fasterxml.jackson.databind.JsonNode linearScaling() {
        // As llama.cpp reads it: linear where no type is given, the old key where the new one is absent, 0 for no
        // factor.
        String type = metadata.text(key("rope.scaling.type")).orElse("linear");
        double factor = metadata.number(key("rope.scaling.factor"))
                .or(() -> metadata.number(key("rope.scale_linear")))
                .orElse(0.0);
        return switch (type) {
            case "none" -> JsonNodeFactory.instance.nullNode();
            case "linear" ->
                factor == 0 || factor == 1
                        ? JsonNodeFactory.instance.nullNode()
                        : JsonNodeFactory.instance
                                .objectNode()
                                .put("type", "linear")
                                .put("factor", factor);
            default ->
                throw new BadCheckpointException(
                        file.path(),
                        "rope scaling type \"" + type
                                + "\" is not supported; supported: none, linear, llama3's factors");
        };
    }

    /** Returns the tokenizer that the metadata holds, if it is of a kind that is read here. */
    public Optional<TokenizerDescription> tokenizer() {
        return GgufTokenizer.describe(metadata);
    }
}
