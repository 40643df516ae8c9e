package nibble.engine.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import java.util.function.IntUnaryOperator;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerFeed;
import org.jspecify.annotations.Nullable;

/**
 * Layers on their way through two places of the card: while one computes, a thread of its own brings the next. Routed
 * experts stay on the host where the card is small; products bring them one at a time. Owns the places and the thread.
 */
final class CudaLayerFeed implements LayerFeed {
    private static final int PLACES = 2;

    /** Experts stay on the host if whole layers in both places would take more than one part in so many of the card. */
    private static final int SHARE = 3;

    /** A place that layers stream through. */
    private static final class Place {
        final CudaLayer memory;
        final CudaStream.Event filled = new CudaStream.Event();
        final CudaStream.Event used = new CudaStream.Event();
        int index = -1;

        @Nullable
        Future<DecoderLayer> layer;

        Place(CudaLayer memory) {
            this.memory = memory;
        }
    }

    private final IntFunction<DecoderLayer> read;
    private final IntUnaryOperator following;
    private final CudaDevice device;
    private final CudaStream compute;
    private final WeightUpload upload;
    private final List<Place> places = new ArrayList<>();
    private final ExecutorService uploader = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().daemon().name("nibble-upload").factory());
    private @Nullable Place current;

    /**
     * @param read a layer on the host; called by the feed's thread
     * @param groupBytes what each group of a layer takes at most
     * @param routed whether routed experts come to the card with their layer
     * @param following the layer to bring while one is used, or a negative number for none
     * @throws nibble.engine.backend.DeviceException if the places do not fit
     */
    CudaLayerFeed(
            IntFunction<DecoderLayer> read,
            long[] groupBytes,
            boolean routed,
            IntUnaryOperator following,
            CudaDevice device,
            CudaStream compute,
            DeviceMemory memory,
            WeightUpload upload) {
        this.read = read;
        this.following = following;
        this.device = device;
        this.compute = compute;
        this.upload = upload;
        try {
            for (int i = 0; i < PLACES; i++) {
                places.add(new Place(new CudaLayer(upload, memory, groupBytes, routed)));
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /**
     * Feeds a card with the layers of a model, one after another.
     *
     * @param read a layer on the host; called by the feed's thread
     */
    static CudaLayerFeed of(IntFunction<DecoderLayer> read, int layers, CudaResources card, WeightUpload upload) {
        long places = bytes(groupBytes(kinds(read, layers), true));
        return of(
                read, layers, card, upload, bringsExperts(places, card.memory().room()));
    }

    /** @param routed whether routed experts come to the card with their layer */
    static CudaLayerFeed of(
            IntFunction<DecoderLayer> read, int layers, CudaResources card, WeightUpload upload, boolean routed) {
        return new CudaLayerFeed(
                read,
                groupBytes(kinds(read, layers), routed),
                routed,
                index -> index + 1 < layers ? index + 1 : -1,
                card.device(),
                card.stream(),
                card.memory(),
                upload);
    }

    /**
     * Returns whether routed experts come to the card with their layer.
     *
     * @param places bytes of two whole layers
     * @param room bytes of the card that may be taken in all
     */
    static boolean bringsExperts(long places, long room) {
        return places <= room / SHARE;
    }

    /** A layer of each kind: those with experts and without may follow one another. */
    private static List<DecoderLayer> kinds(IntFunction<DecoderLayer> read, int layers) {
        DecoderLayer first = read.apply(0);
        for (int layer = 1; layer < layers; layer++) {
            DecoderLayer other = read.apply(layer);
            if (other.hasExperts() != first.hasExperts()) {
                return List.of(first, other);
            }
        }
        return List.of(first);
    }

    private static long[] groupBytes(List<DecoderLayer> kinds, boolean routed) {
        return CudaLayer.largest(
                kinds.stream().map(layer -> CudaLayer.groupBytes(layer, routed)).toList());
    }

    /** Device memory of the places. */
    static long bytes(long[] groupBytes) {
        return PLACES * CudaLayer.bytes(groupBytes);
    }

    @Override
    public DecoderLayer layer(int index) {
        endUse();
        Place place = start(index);
        DecoderLayer layer = await(place);
        compute.waitFor(place.filled);
        current = place;
        bring(following.applyAsInt(index));
        return layer;
    }

    /** What computes with the layer at hand was put into the stream by now. */
    void endUse() {
        if (current != null) {
            compute.record(current.used);
            current = null;
        }
    }

    /** Starts to bring a layer, unless it is there or the number is negative. */
    void bring(int index) {
        if (index >= 0) {
            start(index);
        }
    }

    /** The place that layer {@code index} lies in or is on its way to. */
    private Place start(int index) {
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
            // First the slow part: the place may still be in use.
            DecoderLayer source = read.apply(index);
            upload.stream().waitFor(chosen.used);
            DecoderLayer layer = chosen.memory.fill(source);
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
            switch (e.getCause()) {
                case RuntimeException cause -> throw cause;
                case Error cause -> throw cause;
                case null, default ->
                    throw new IllegalStateException("bringing a layer to the card failed", e.getCause());
            }
        }
    }

    @Override
    public void close() {
        uploader.close();
        device.synchronize();
        places.forEach(place -> {
            place.memory.close();
            place.filled.close();
            place.used.close();
        });
        places.clear();
    }
}
