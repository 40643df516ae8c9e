package nibble.checkpoint.gguf;

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
import java.util.stream.Stream;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Architectures;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.HeadRows;
import nibble.checkpoint.tensor.Shape;
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

    private final GgufFile file;
    private final GgufMetadata metadata;
    private final SequencedMap<String, StoredTensor> tensors = new LinkedHashMap<>();
    private final Map<String, GgufBlocks> blocks = new HashMap<>();
    private final Architecture architecture;
    private final Map<String, String> layerNames;
    private final int layers;
    private final long experts;
    private final int headDim;
    private final @Nullable GgufLatent latent;

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
        experts = metadata.integer(name + ".expert_count").orElse(0L);
        boolean mixes = experts > 0;
        boolean window = metadata.integer(name + ".attention.sliding_window").orElse(0L) > 0;
        boolean centered = files.stream()
                .flatMap(part -> Stream.ofNullable(part.tensors().get("blk.0.attn_q_norm.weight")))
                .anyMatch(norm -> norm.shape().rank() == 2);
        architecture = Architectures.ofGguf(name, window, mixes, GgufLatent.isCorrected(metadata, name), centered)
                .orElseThrow(() -> new BadCheckpointException(
                        path,
                        "architecture \"" + name + "\"" + (mixes ? " with experts" : "")
                                + " is not yet supported; supported: "
                                + Architectures.all().stream()
                                        .filter(known -> known.mixesExperts() == mixes)
                                        .map(Architecture::ggufName)
                                        .distinct()
                                        .collect(Collectors.joining(", "))));
        OtherMetadata.refuse(metadata, architecture);
        layerNames = GgufNames.layerNames(architecture);
        layers = layers(path);
        latent = architecture.hasLatentAttention() ? new GgufLatent(metadata, name) : null;
        headDim = latent == null ? headDim(path) : latent.headDim();
        for (GgufFile part : files) {
            part.tensors().values().forEach(tensor -> add(part.path(), tensor));
        }
        if (latent != null) {
            latent.whole((_, tensor) -> tensors.put(tensor.name(), tensor));
        }
    }

    private String key(String name) {
        return architecture.ggufName() + "." + name;
    }

    /** Files may hold parts of each other, so a small one may name as many experts as these two numbers allow. */
    private int layers(Path path) {
        long number = metadata.requiredInteger(key("block_count"));
        if (number < 1
                || number > Architecture.MOST_LAYERS
                || experts > Experts.MOST
                || number * experts > Experts.MOST_OF_ALL_LAYERS) {
            throw new BadCheckpointException(
                    path,
                    number + " layers of " + experts + " experts; supported: 1 to " + Architecture.MOST_LAYERS
                            + " layers, " + Experts.MOST + " experts in one and " + Experts.MOST_OF_ALL_LAYERS
                            + " in all");
        }
        return (int) number;
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
        boolean fits = architecture.turnsPartly() ? rotated >= 2 && rotated <= dim && rotated % 2 == 0 : rotated == dim;
        if (dim < 2 || dim > 1 << 16 || dim % 2 != 0 || value != dim || !fits) {
            throw new BadCheckpointException(
                    path,
                    "heads of " + dim + " keys, " + value + " values, " + rotated
                            + " rotated; supported: one even number for "
                            + (architecture.turnsPartly()
                                    ? "keys and values, and an even part of it rotated"
                                    : "all three"));
        }
        return (int) dim;
    }

    private void add(Path path, GgufFile.Tensor tensor) {
        Matcher layer = LAYER.matcher(tensor.name());
        Optional<Linear> stacked =
                layer.matches() && architecture.mixesExperts() ? GgufNames.stacked(layer.group(2)) : Optional.empty();
        if (stacked.isPresent()) {
            String kind = layer.group(2).substring(layer.group(2).lastIndexOf('.'));
            addExperts(path, tensor, Integer.parseInt(layer.group(1)), stacked.get(), kind);
            return;
        }
        if (latent != null
                && layer.matches()
                && latent.takes(Integer.parseInt(layer.group(1)), layer.group(2), tensor)) {
            return;
        }
        String name = name(tensor.name());
        if (name == null) {
            return;
        }
        add(
                path,
                layer.matches() && layer.group(2).equals(GgufNames.SHARED_GATE)
                        ? part(tensor, Shape.of(1, tensor.shape().elements()), 0)
                        : tensor,
                name);
    }

    /**
     * The routed experts of a layer, [experts, out, in], as a matrix each; their biases, [experts, out], as a vector
     * each.
     */
    private void addExperts(Path path, GgufFile.Tensor tensor, int layer, Linear linear, String kind) {
        boolean bias = kind.equals(".bias");
        if (tensor.shape().rank() != (bias ? 2 : 3) || tensor.shape().dim(0) != experts || layer >= layers) {
            throw new BadCheckpointException(
                    path,
                    "tensor " + tensor.name() + " is " + tensor.shape() + "; expected in layers 0 to " + (layers - 1)
                            + (bias ? " a vector" : " a matrix") + " for each of " + experts
                            + " experts; get the file again");
        }
        Experts.Names names = architecture.expertNames().orElseThrow();
        Shape shape = bias
                ? Shape.of(tensor.shape().dim(1))
                : Shape.of(tensor.shape().dim(1), tensor.shape().dim(2));
        for (int index = 0; index < experts; index++) {
            String within = names.path(linear, new Expert(index)) + kind;
            add(path, part(tensor, shape, index * shape.elements()), TensorNames.layer(layer) + within);
        }
    }

    /** Elements of a tensor from one on, whole blocks. */
    private static GgufFile.Tensor part(GgufFile.Tensor tensor, Shape shape, long first) {
        long from = tensor.type().bytes(first);
        return new GgufFile.Tensor(
                tensor.name(),
                tensor.type(),
                shape,
                tensor.offset() + from,
                tensor.data().asSlice(from, tensor.type().bytes(shape.elements())));
    }

    private void add(Path path, GgufFile.Tensor tensor, String name) {
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
            case "output_norm.bias":
                return TensorNames.FINAL_NORM_BIAS;
            case "output.weight":
                return TensorNames.HEAD;
            case "output.bias":
                if (!architecture.mayBiasHead()) {
                    throw unknown(name);
                }
                return TensorNames.HEAD_BIAS;
            case GgufRope.FACTORS, GgufRope.LONG, GgufRope.SHORT:
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
        StoredTensor embedding = tensors.get(TensorNames.EMBEDDING);
        if (embedding == null) {
            throw new BadCheckpointException(file.path(), "tensor token_embd.weight is missing; get the file again");
        }
        return new GgufConfig(file, architecture, layers, headDim, Optional.ofNullable(latent))
                .json(new GgufConfig.Tensors(
                        embedding.spec().shape().dim(0),
                        tensors.containsKey(Linear.O.module(0) + ".bias"),
                        tensors.containsKey(Linear.GATE.module(0) + ".bias"),
                        tensors.containsKey(TensorNames.HEAD_BIAS),
                        !tensors.containsKey(TensorNames.HEAD)));
    }

    /** Returns the tokenizer that the metadata holds, if it is of a kind that is read here. */
    public Optional<TokenizerDescription> tokenizer() {
        return GgufTokenizer.describe(metadata);
    }
}
