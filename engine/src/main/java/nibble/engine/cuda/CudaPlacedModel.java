package nibble.engine.cuda;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.LayerScratch;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Norm;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/**
 * A model on the card. Layers that fit stay; where not all do, the rest comes by a feed. Owns all
 * places.
 */
final class CudaPlacedModel implements PlacedModel {
    private final ModelWeights weights;
    private final CudaDevice device;
    private final WeightUpload upload;
    private final DeviceMemory memory;
    private final List<CudaLayer> resident = new ArrayList<>();
    private final List<DecoderLayer> residentLayers = new ArrayList<>();
    private final List<DeviceMemory.Buffer> outer = new ArrayList<>();
    private final CudaWeight embedding;
    private final CudaWeight head;
    /** Brings the layers that do not stay; null where all do. */
    private final @Nullable CudaLayerFeed feed;

    /** What cuBLAS and expanded 4-bit weights take at most. */
    private static final long EXPANDED_BYTES = 1L << 30;

    /**
     * @param reserve bytes to leave free for activations
     * @throws nibble.engine.backend.DeviceException if not even the streaming places fit
     */
    CudaPlacedModel(ModelWeights weights, CudaResources card, WeightUpload upload, long reserve) {
        this.weights = weights;
        this.device = card.device();
        this.memory = card.memory();
        this.upload = upload;
        try {
            embedding = place(weights.embedding());
            head = weights.head() == weights.embedding() ? embedding : place(weights.head());
            int count = weights.layers().size();
            List<long[]> bytes = weights.layers().stream()
                    .map(layer -> CudaLayer.groupBytes(layer, true))
                    .toList();
            long[] largest = CudaLayer.largest(bytes);
            long room = memory.available() - reserve;
            int stay = staying(bytes, room, CudaLayerFeed.bytes(largest));
            for (int i = 0; i < stay; i++) {
                CudaLayer layer = new CudaLayer(upload, memory, bytes.get(i), true);
                resident.add(layer);
                residentLayers.add(layer.fill(weights.layers().get(i)));
            }
            feed = stay == count
                    ? null
                    : new CudaLayerFeed(
                            weights.layers()::get,
                            largest,
                            true,
                            index -> index + 1 < count ? index + 1 : count - stay > 1 ? stay : -1,
                            device,
                            card.stream(),
                            memory,
                            upload);
            upload.stream().synchronize();
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Counts the last layers that fit on a card with their part of the longest cache, the head and activations. */
    static int fitting(ModelWeights weights, long available) {
        ModelConfig config = weights.config();
        // Keys and values in fp16.
        long cache = 2L * DeviceMemory.rounded(2L * config.maxPositions() * config.kvHeads() * config.headDim());
        long outer = CudaLayer.bytesAlone(CudaLayer.taken(weights.head()));
        if (weights.embedding() != weights.head()) {
            outer += CudaLayer.bytesAlone(CudaLayer.taken(weights.embedding()));
        }
        long left = available - activationBytes(config) - outer;
        int fitting = 0;
        for (DecoderLayer layer : weights.layers().reversed()) {
            left -= CudaLayer.bytes(CudaLayer.groupBytes(layer, true)) + cache;
            if (left < 0) {
                break;
            }
            fitting++;
        }
        return fitting;
    }

    /** Layers that fit beside the places of those that do not, all if they fit without. */
    private static int staying(List<long[]> bytes, long room, long places) {
        if (bytes.stream().mapToLong(CudaLayer::bytes).sum() <= room) {
            return bytes.size();
        }
        int stay = 0;
        long left = room - places;
        while (stay < bytes.size() - 1 && CudaLayer.bytes(bytes.get(stay)) <= left) {
            left -= CudaLayer.bytes(bytes.get(stay++));
        }
        return stay;
    }

    /** The embedding or the head: fp16, or blocks as the file has them. */
    private CudaWeight place(Weight of) {
        Weight weight = CudaLayer.taken(of);
        DeviceMemory.Buffer buffer = memory.allocate(CudaLayer.bytesAlone(weight), weight.name());
        outer.add(buffer);
        return switch (weight) {
            case DenseWeight dense -> upload.dense(dense, buffer, 0);
            case BlockWeight(String name, GgufBlocks blocks) -> upload.blocks(name, blocks, buffer);
            default -> throw new IllegalArgumentException(weight.name() + ": no embedding or head of 4-bit codes");
        };
    }

    /** Layers that stay on the card. */
    int residentLayers() {
        return resident.size();
    }

    boolean allResident() {
        return feed == null;
    }

    @Override
    public ModelConfig config() {
        return weights.config();
    }

    @Override
    public Weight embedding() {
        return embedding;
    }

    @Override
    public DecoderLayer layer(int index) {
        if (feed == null) {
            return residentLayers.get(index);
        }
        if (index >= residentLayers.size()) {
            return feed.layer(index);
        }
        feed.endUse();
        if (index + 1 == residentLayers.size()) {
            feed.bring(index + 1);
        }
        return residentLayers.get(index);
    }

    @Override
    public Norm finalNorm() {
        return weights.finalNorm();
    }

    @Override
    public Weight head() {
        return head;
    }

    @Override
    public void close() {
        device.synchronize();
        resident.forEach(CudaLayer::close);
        if (feed != null) {
            feed.close();
        }
        outer.forEach(DeviceMemory.Buffer::close);
    }

    /** What a batch takes beside the weights: the matrices of a forward pass, logits, expanded weights. */
    static long activationBytes(ModelConfig config) {
        long columns = 3L * config.hiddenSize() + LayerScratch.columns(config);
        return 2 * columns * Math.min(CudaBackend.BATCH_TOKENS, 4L * config.maxPositions())
                + TokenScoring.LOGIT_BYTES
                + EXPANDED_BYTES;
    }
}
