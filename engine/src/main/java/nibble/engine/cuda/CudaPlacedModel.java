package nibble.engine.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import nibble.convert.LlamaConfig;
import nibble.engine.DecoderLayer;
import nibble.engine.DenseWeight;
import nibble.engine.ModelWeights;
import nibble.engine.PlacedModel;
import nibble.engine.Weight;
import org.jspecify.annotations.Nullable;

/**
 * A model on the card. Layers that fit stay; where not all do, the rest streams through two places: while one layer computes, a
 * thread of its own brings the next. Owns the places and the thread.
 */
final class CudaPlacedModel implements PlacedModel {
    private static final int STREAMING_PLACES = 2;

    /** A place that layers stream through. */
    private static final class Place {
        final CudaLayer memory;
        final CudaStream.Event filled = new CudaStream.Event();
        final CudaStream.Event used = new CudaStream.Event();
        int index = -1;
        @Nullable Future<DecoderLayer> layer;

        Place(CudaLayer memory) {
            this.memory = memory;
        }
    }

    private final ModelWeights weights;
    private final CudaDevice device;
    private final CudaStream compute;
    private final WeightUpload upload;
    private final DeviceMemory memory;
    private final List<CudaLayer> resident = new ArrayList<>();
    private final List<DecoderLayer> residentLayers = new ArrayList<>();
    private final List<Place> places = new ArrayList<>();
    private final List<DeviceMemory.Buffer> outer = new ArrayList<>();
    private final ExecutorService uploader =
            Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("nibble-upload").factory());
    private final CudaWeight embedding;
    private final CudaWeight head;
    private @Nullable Place current;

    /**
     * @param reserve bytes to leave free for activations
     * @throws nibble.engine.DeviceException if not even the streaming places fit
     */
    CudaPlacedModel(
            ModelWeights weights,
            CudaDevice device,
            CudaStream compute,
            DeviceMemory memory,
            WeightUpload upload,
            long reserve) {
        this.weights = weights;
        this.device = device;
        this.compute = compute;
        this.memory = memory;
        this.upload = upload;
        try {
            embedding = place(weights.embedding());
            head = weights.head() == weights.embedding() ? embedding : place(weights.head());
            int count = weights.layers().size();
            long layerBytes = CudaLayer.bytes(weights.layers().getFirst());
            long room = memory.available() - reserve;
            boolean all = room >= count * layerBytes;
            long stay = all ? count : Math.clamp(room / layerBytes - STREAMING_PLACES, 0, count);
            for (int i = 0; i < stay; i++) {
                CudaLayer layer = new CudaLayer(upload, memory, weights.layers().get(i));
                resident.add(layer);
                residentLayers.add(layer.fill(weights.layers().get(i)));
            }
            for (int i = 0; i < STREAMING_PLACES && stay < count; i++) {
                places.add(new Place(new CudaLayer(upload, memory, weights.layers().getFirst())));
            }
            upload.stream().synchronize();
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private CudaWeight place(DenseWeight weight) {
        DeviceMemory.Buffer buffer =
                memory.allocate(2L * weight.outFeatures() * weight.inFeatures(), weight.name());
        outer.add(buffer);
        return upload.dense(weight, buffer, 0);
    }

    /** Layers that stay on the card. */
    int residentLayers() {
        return resident.size();
    }

    boolean allResident() {
        return places.isEmpty();
    }

    @Override
    public LlamaConfig config() {
        return weights.config();
    }

    @Override
    public Weight embedding() {
        return embedding;
    }

    @Override
    public DecoderLayer layer(int index) {
        if (current != null) {
            // Whatever computes with the layer before was put into the stream by now.
            compute.record(current.used);
            current = null;
        }
        if (index < residentLayers.size()) {
            if (!places.isEmpty() && index + 1 == residentLayers.size()) {
                bring(index + 1);
            }
            return residentLayers.get(index);
        }
        Place place = bring(index);
        DecoderLayer layer = await(place);
        compute.waitFor(place.filled);
        current = place;
        int next = index + 1 < weights.layers().size() ? index + 1 : resident.size();
        if (next != index) {
            bring(next);
        }
        return layer;
    }

    /** The place that layer {@code index} lies in or is on its way to. */
    private Place bring(int index) {
        for (Place place : places) {
            if (place.index == index) {
                return place;
            }
        }
        Place place = places.getFirst() == current ? places.getLast() : places.getFirst();
        if (place.index >= 0 && places.getLast() != current && places.getLast().index < place.index) {
            place = places.getLast();
        }
        Place chosen = place;
        chosen.index = index;
        chosen.layer = uploader.submit(() -> {
            device.bind();
            upload.stream().waitFor(chosen.used);
            DecoderLayer layer = chosen.memory.fill(weights.layers().get(index));
            upload.stream().record(chosen.filled);
            return layer;
        });
        return chosen;
    }

    private static DecoderLayer await(Place place) {
        Future<DecoderLayer> layer = place.layer;
        if (layer == null) {
            throw new IllegalStateException("no layer is on its way");
        }
        try {
            return layer.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while a layer was on its way to the card", e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            throw new IllegalStateException("bringing a layer to the card failed", e.getCause());
        }
    }

    @Override
    public float[] finalNorm() {
        return weights.finalNorm();
    }

    @Override
    public Weight head() {
        return head;
    }

    @Override
    public void close() {
        uploader.close();
        device.synchronize();
        resident.forEach(CudaLayer::close);
        places.forEach(place -> {
            place.memory.close();
            place.filled.close();
            place.used.close();
        });
        places.clear();
        outer.forEach(DeviceMemory.Buffer::close);
    }
}
