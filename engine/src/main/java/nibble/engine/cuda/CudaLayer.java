package nibble.engine.cuda;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.NibbleMatrix;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.DeviceWeight;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.AwqLayout;

/**
 * A decoder layer in device memory: four matrices, one for each input, which hold the linears that share it. The place
 * can be filled again with a layer of the same shapes. Owns its buffers.
 */
final class CudaLayer implements AutoCloseable {
    private final WeightUpload upload;
    private final List<DeviceMemory.Buffer> buffers = new ArrayList<>();
    private final List<Group> groups = new ArrayList<>();

    /** The linears of one input and the place of their common matrix. */
    private record Group(List<Weight> like, DeviceMemory.Buffer buffer) {}

    /**
     * Takes the memory for a layer of these shapes, without its weights.
     *
     * @throws nibble.engine.backend.DeviceException if there is not enough
     */
    CudaLayer(WeightUpload upload, DeviceMemory memory, DecoderLayer like) {
        this.upload = upload;
        try {
            for (List<Weight> group : groups(like)) {
                DeviceMemory.Buffer buffer = memory.allocate(bytes(group), "weights of a layer");
                buffers.add(buffer);
                groups.add(new Group(group, buffer));
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private static List<List<Weight>> groups(DecoderLayer layer) {
        return Arrays.stream(LinearInput.values())
                .map(input -> input.readers().stream().map(layer::weight).toList())
                .toList();
    }

    /** Device memory that a layer takes. */
    static long bytes(DecoderLayer layer) {
        return groups(layer).stream()
                .mapToLong(group -> DeviceMemory.rounded(bytes(group)))
                .sum();
    }

    private static long bytes(List<Weight> group) {
        int rows = group.stream().mapToInt(Weight::outFeatures).sum();
        int in = group.getFirst().inFeatures();
        return switch (group.getFirst()) {
            case DenseWeight _ -> 2L * rows * in;
            default -> NibbleMatrix.bytes(rows, in, groupSize(group.getFirst()));
        };
    }

    /** Columns of a group of a 4-bit weight of the host, 0 for whole rows. */
    static int groupSize(Weight weight) {
        return switch (weight) {
            case QuantizedWeight(QuantizedLinear linear) ->
                linear.groups() == 1 ? 0 : linear.inFeatures() / linear.groups();
            case AwqWeight(AwqLayout.AwqLinear linear) -> NibbleMatrix.groupSize(linear.spec());
            case DenseWeight dense ->
                throw new IllegalArgumentException(dense.name() + ": linears of one input must all be of one kind");
            case BlockWeight _, StoredWeight _ ->
                throw new IllegalArgumentException(weight.name() + " must be expanded before it is placed");
            case DeviceWeight placed -> throw new IllegalArgumentException(placed.name() + " lies on a device already");
        };
    }

    /**
     * Puts the copies of a layer's weights into the stream of the upload.
     *
     * @return the layer with the weights that lie here
     */
    DecoderLayer fill(DecoderLayer layer) {
        List<List<Weight>> sources = groups(layer);
        List<CudaWeight> placed = new ArrayList<>();
        for (int g = 0; g < sources.size(); g++) {
            placed.addAll(place(sources.get(g), groups.get(g)));
        }
        return new DecoderLayer(
                layer.inputNorm(),
                placed.get(0),
                placed.get(1),
                placed.get(2),
                placed.get(3),
                layer.postAttentionNorm(),
                placed.get(4),
                placed.get(5),
                placed.get(6),
                layer.extras());
    }

    private List<CudaWeight> place(List<Weight> weights, Group group) {
        if (bytes(weights) != bytes(group.like)) {
            throw new IllegalArgumentException(weights.getFirst().name() + ": another shape than in the layer before");
        }
        return switch (weights.getFirst()) {
            case DenseWeight _ -> placeDense(weights, group.buffer);
            default -> placeNibbles(weights, group.buffer);
        };
    }

    private List<CudaWeight> placeDense(List<Weight> weights, DeviceMemory.Buffer buffer) {
        List<CudaWeight> placed = new ArrayList<>();
        long offset = 0;
        for (Weight weight : weights) {
            if (!(weight instanceof DenseWeight dense)) {
                throw new IllegalArgumentException(weight.name() + ": linears of one input must all be of one kind");
            }
            placed.add(upload.dense(dense, buffer, offset));
            offset += 2L * weight.outFeatures() * weight.inFeatures();
        }
        return placed;
    }

    private List<CudaWeight> placeNibbles(List<Weight> weights, DeviceMemory.Buffer buffer) {
        int rows = weights.stream().mapToInt(Weight::outFeatures).sum();
        // Gate and up are interleaved, so that one block of the decode kernel has both factors of SwiGLU.
        boolean interleaved = weights.size() == 2;
        List<CudaWeight> placed = new ArrayList<>();
        int offset = 0;
        NibbleMatrix matrix = null;
        for (Weight weight : weights) {
            int groupSize = groupSize(weight);
            if (matrix == null) {
                matrix = new NibbleMatrix(
                        rows, NibbleMatrix.requireFits(weight.name(), weight.inFeatures()), groupSize, buffer);
            } else if (matrix.groupSize() != groupSize) {
                throw new IllegalArgumentException(weight.name() + ": linears of one input must have one group size");
            }
            CudaWeight.Nibbles part =
                    new CudaWeight.Nibbles(weight.name(), weight.outFeatures(), matrix, offset, interleaved ? 16 : 8);
            upload.nibbles(weight, part);
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
