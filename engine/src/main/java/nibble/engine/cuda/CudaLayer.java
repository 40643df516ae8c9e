package nibble.engine.cuda;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.cuda.data.BlockMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.NibbleMatrix;
import nibble.engine.cuda.data.TiledMatrix;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.DeviceWeight;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.FeedForward;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.engine.tensor.StoredWeights;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.AwqLayout;

/**
 * A decoder layer in device memory: four groups, one for each input, those of q, k, v and what is in their place
 * together, and where there are experts one for what chooses them. Linears of an input that have one type are one
 * matrix, those of each expert by themselves. Routed experts may stay on the host. The place can be filled again with
 * another layer that fits. Owns its buffers.
 */
final class CudaLayer implements AutoCloseable {
    /** Matrices begin at multiples of this. */
    private static final long ALIGNMENT = 256;

    /** The group of gates and ups. */
    private static final int GATE_UP = 2;

    private final WeightUpload upload;
    private final boolean routed;
    private final List<DeviceMemory.Buffer> buffers = new ArrayList<>();

    /**
     * Takes the memory for a layer, without its weights.
     *
     * @param groupBytes of each group, as {@link #groupBytes}
     * @param routed whether routed experts lie here too
     * @throws nibble.engine.backend.DeviceException if there is not enough
     */
    CudaLayer(WeightUpload upload, DeviceMemory memory, long[] groupBytes, boolean routed) {
        this.upload = upload;
        this.routed = routed;
        try {
            for (long bytes : groupBytes) {
                buffers.add(memory.allocate(bytes, "weights of a layer"));
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Weights of each group in units: those of a unit share their input, and become one matrix if they can. */
    private static List<List<List<Weight>>> groups(DecoderLayer layer, boolean routed) {
        List<List<List<Weight>>> groups = new ArrayList<>();
        List<List<Weight>> attention = new ArrayList<>();
        for (LinearInput input : LinearInput.values()) {
            List<Weight> readers =
                    attention(layer, input).stream().map(layer::weight).toList();
            if (!readers.isEmpty()) {
                attention.add(readers);
            }
        }
        groups.add(attention.subList(0, attention.size() - 1));
        groups.add(attention.subList(attention.size() - 1, attention.size()));
        List<Mlp> mlps = mlps(layer.feedForward(), routed);
        groups.add(mlps.stream().map(mlp -> List.of(mlp.gate(), mlp.up())).toList());
        groups.add(mlps.stream().map(mlp -> List.of(mlp.down())).toList());
        if (layer.feedForward() instanceof ExpertMlps experts) {
            List<List<Weight>> gates = new ArrayList<>(List.of(List.of(experts.router())));
            experts.sharedGate().ifPresent(gate -> gates.add(List.of(gate)));
            groups.add(gates);
        }
        return groups;
    }

    /** The MLPs that lie here. */
    private static List<Mlp> mlps(FeedForward feedForward, boolean routed) {
        return !routed && feedForward instanceof ExpertMlps experts
                ? experts.shared().map(List::of).orElse(List.of())
                : feedForward.mlps();
    }

    /** The linears of a layer's attention that read an input. */
    private static List<Linear> attention(DecoderLayer layer, LinearInput input) {
        return layer.attention().keySet().stream()
                .filter(linear -> linear.input() == input)
                .toList();
    }

    /**
     * Device memory that each group of a layer takes.
     *
     * @param routed whether routed experts are counted
     */
    static long[] groupBytes(DecoderLayer layer, boolean routed) {
        return groups(layer, routed).stream()
                .mapToLong(group -> group.stream()
                        .flatMap(unit -> matrices(unit).stream())
                        .mapToLong(Together::bytes)
                        .map(CudaLayer::aligned)
                        .sum())
                .toArray();
    }

    /** What each group of the layers takes at most. */
    static long[] largest(List<long[]> layers) {
        return layers.stream()
                .reduce((a, b) -> {
                    // A layer with experts has a group more than one without.
                    long[] most = Arrays.copyOf(a, Math.max(a.length, b.length));
                    for (int i = 0; i < b.length; i++) {
                        most[i] = Math.max(most[i], b[i]);
                    }
                    return most;
                })
                .orElseThrow();
    }

    /** Device memory of a layer of such groups. */
    static long bytes(long[] groupBytes) {
        return Arrays.stream(groupBytes).map(DeviceMemory::rounded).sum();
    }

    /** Device memory of a weight that is a matrix of its own. */
    static long bytesAlone(Weight weight) {
        return new Together(kind(weight), List.of(weight)).bytes();
    }

    private static long aligned(long bytes) {
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** What a card keeps of a weight of the host. */
    private sealed interface Kind {
        record Dense() implements Kind {}

        record Blocks(GgufType type) implements Kind {}

        /**
         * Names 4-bit codes.
         *
         * @param groupSize columns of a group, 0 for whole rows
         */
        record Nibbles(int groupSize) implements Kind {}
    }

    /** Weights of a kind that make one matrix. */
    private record Together(Kind kind, List<Weight> weights) {
        Weight first() {
            return weights.getFirst();
        }

        int rows() {
            return weights.stream().mapToInt(Weight::outFeatures).sum();
        }

        long bytes() {
            int in = first().inFeatures();
            return switch (kind) {
                case Kind.Dense _ -> 2L * rows() * in;
                case Kind.Blocks(GgufType type) -> BlockMatrix.bytes(type, rows(), in);
                case Kind.Nibbles(int groupSize) -> NibbleMatrix.bytes(rows(), in, groupSize);
            };
        }

        /** Whether a weight of this kind can go on behind the last one's rows. */
        boolean takes(Kind other, Weight weight) {
            return kind.equals(other)
                    && (kind instanceof Kind.Dense
                            || weights.getLast().outFeatures() % 8 == 0 && weight.outFeatures() % 8 == 0);
        }
    }

    /** Looks at all zeros of some weights, so it is asked once for each. */
    private static Kind kind(Weight weight) {
        return switch (weight) {
            case DenseWeight _ -> new Kind.Dense();
            case BlockWeight(String _, GgufBlocks blocks) ->
                blocks.type().isPlain() ? new Kind.Dense() : new Kind.Blocks(blocks.type());
            default ->
                StoredWeights.cardType(weight)
                        .<Kind>map(type -> type.isPlain() ? new Kind.Dense() : new Kind.Blocks(type))
                        .orElseGet(() -> new Kind.Nibbles(groupSize(weight)));
        };
    }

    /** A weight of the host in a form that can be uploaded, its codes by rows where they lie in no form that can. */
    static Weight taken(Weight weight) {
        return weight instanceof BlockWeight && kind(weight) instanceof Kind.Blocks
                ? weight
                : StoredWeights.expanded(weight);
    }

    /** Columns of a group of a 4-bit weight of the host, 0 for whole rows. */
    static int groupSize(Weight weight) {
        return switch (weight) {
            case QuantizedWeight(QuantizedLinear linear) -> groupSize(linear.groups(), linear.inFeatures());
            case StoredWeight stored -> groupSize(stored.codes().groups(), stored.inFeatures());
            case AwqWeight(AwqLayout.AwqLinear linear) -> NibbleMatrix.groupSize(linear.spec());
            case DenseWeight _, BlockWeight _ ->
                throw new IllegalArgumentException(weight.name() + " has no 4-bit codes");
            case DeviceWeight placed -> throw new IllegalArgumentException(placed.name() + " lies on a device already");
        };
    }

    private static int groupSize(int groups, int inFeatures) {
        return groups == 1 ? 0 : inFeatures / groups;
    }

    /**
     * The matrices of a group: neighbours of one type together, unless a matrix of tiles cannot go on behind one's
     * rows.
     */
    private static List<Together> matrices(List<Weight> group) {
        List<Together> matrices = new ArrayList<>();
        for (Weight weight : group) {
            Kind kind = kind(weight);
            if (!matrices.isEmpty() && matrices.getLast().takes(kind, weight)) {
                matrices.getLast().weights().add(weight);
            } else {
                matrices.add(new Together(kind, new ArrayList<>(List.of(weight))));
            }
        }
        return matrices;
    }

    /**
     * Puts the copies of a layer's weights into the stream of the upload.
     *
     * @return the layer with the weights that lie here
     */
    DecoderLayer fill(DecoderLayer layer) {
        List<List<List<Weight>>> sources = groups(layer, routed);
        Deque<CudaWeight> placed = new ArrayDeque<>();
        for (int g = 0; g < sources.size(); g++) {
            DeviceMemory.Buffer buffer = buffers.get(g);
            long offset = 0;
            for (List<Weight> unit : sources.get(g)) {
                for (Together matrix : matrices(unit)) {
                    long bytes = aligned(matrix.bytes());
                    if (offset + bytes > aligned(buffer.bytes())) {
                        throw new IllegalArgumentException(
                                matrix.first().name() + ": another shape than in the layer before");
                    }
                    placed.addAll(place(matrix, buffer, offset, g == GATE_UP && gated(unit, matrix)));
                    offset += bytes;
                }
            }
        }
        Map<Linear, Weight> attention = new EnumMap<>(Linear.class);
        for (LinearInput input : LinearInput.values()) {
            attention(layer, input).forEach(linear -> attention.put(linear, placed.remove()));
        }
        return new DecoderLayer(
                layer.inputNorm(),
                attention,
                layer.postAttentionNorm(),
                filled(layer.feedForward(), placed),
                layer.extras());
    }

    /** The MLPs of weights in the order of their groups: gate and up of each, then down of each, then the gates. */
    private FeedForward filled(FeedForward source, Deque<CudaWeight> placed) {
        List<Mlp> sources = mlps(source, routed);
        List<Weight> gateUp = new ArrayList<>();
        sources.forEach(_ -> gateUp.addAll(List.of(placed.remove(), placed.remove())));
        List<Mlp> mlps = new ArrayList<>();
        for (int i = 0; i < sources.size(); i++) {
            mlps.add(new Mlp(
                    gateUp.get(2 * i),
                    gateUp.get(2 * i + 1),
                    placed.remove(),
                    sources.get(i).biases()));
        }
        return switch (source) {
            case Mlp _ -> mlps.getFirst();
            case ExpertMlps experts ->
                new ExpertMlps(
                        placed.remove(),
                        experts.routerBias(),
                        routed ? mlps.subList(0, experts.routed().size()) : experts.routed(),
                        experts.shared().map(_ -> mlps.getLast()),
                        experts.sharedGate().map(_ -> placed.remove()));
        };
    }

    /** Gate and up are interleaved, so that one block of the decode kernel has both factors of SwiGLU. */
    private static boolean gated(List<Weight> group, Together matrix) {
        return group.size() == 2 && matrix.weights().size() == 2;
    }

    private List<CudaWeight> place(Together together, DeviceMemory.Buffer buffer, long offset, boolean interleaved) {
        int rows = together.rows();
        List<Weight> weights = together.weights();
        Weight first = together.first();
        return switch (together.kind()) {
            case Kind.Dense _ -> placeDense(weights, buffer, offset);
            case Kind.Blocks(GgufType type) -> {
                BlockMatrix matrix = new BlockMatrix(type, rows, first.inFeatures(), buffer, offset);
                upload.clear(matrix);
                yield placeTiled(weights, matrix, interleaved);
            }
            case Kind.Nibbles(int groupSize) -> {
                int in = NibbleMatrix.requireFits(first.name(), first.inFeatures());
                yield placeTiled(weights, new NibbleMatrix(rows, in, groupSize, buffer, offset), interleaved);
            }
        };
    }

    private List<CudaWeight> placeDense(List<Weight> weights, DeviceMemory.Buffer buffer, long from) {
        List<CudaWeight> placed = new ArrayList<>();
        long offset = from;
        for (Weight weight : weights) {
            if (!(taken(weight) instanceof DenseWeight dense)) {
                throw new IllegalArgumentException(weight.name() + ": plain numbers expected");
            }
            placed.add(upload.dense(dense, buffer, offset));
            offset += 2L * weight.outFeatures() * weight.inFeatures();
        }
        return placed;
    }

    private List<CudaWeight> placeTiled(List<Weight> weights, TiledMatrix matrix, boolean interleaved) {
        List<CudaWeight> placed = new ArrayList<>();
        int offset = 0;
        for (Weight weight : weights) {
            CudaWeight.Tiled part =
                    new CudaWeight.Tiled(weight.name(), weight.outFeatures(), matrix, offset, interleaved ? 16 : 8);
            Weight taken = taken(weight);
            if (taken instanceof BlockWeight(String name, GgufBlocks blocks)) {
                upload.blocks(name, blocks, part);
            } else {
                upload.nibbles(taken, part);
            }
            placed.add(part);
            offset += interleaved ? 8 : weight.outFeatures();
        }
        return placed;
    }

    @Override
    public void close() {
        buffers.forEach(DeviceMemory.Buffer::close);
    }
}
