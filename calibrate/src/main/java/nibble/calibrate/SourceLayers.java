package nibble.calibrate;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import nibble.calibrate.journal.SourceDigest;
import nibble.checkpoint.Checkpoint;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Workers;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerFeed;

/**
 * The original layers on each device, each hashed as it is read: the hash brings the mapped pages in, and the copy
 * to the device finds them there. Both run ahead where a device is fed ahead. Owns the feeds and its own threads.
 */
final class SourceLayers implements AutoCloseable {
    private final Checkpoint source;
    private final QuantizationDevices devices;
    private final Workers workers;
    private final List<LayerFeed> feeds = new ArrayList<>();
    private final Map<Integer, String> sha256 = new ConcurrentHashMap<>();

    SourceLayers(Checkpoint source, QuantizationDevices devices, int threads) {
        this.source = source;
        this.devices = devices;
        this.workers = new Workers(threads);
        for (Backend member : devices.members()) {
            member.makeCurrent();
            feeds.add(member.feed(this::read, source.config().layers()));
        }
        devices.members().getFirst().makeCurrent();
    }

    private DecoderLayer read(int layer) {
        sha256(layer);
        return DecoderLayer.read(source, layer);
    }

    /** As {@link LayerFeed#layer}, on each device. */
    List<DecoderLayer> layer(int index) {
        List<DecoderLayer> placed = new ArrayList<>();
        for (int i = feeds.size() - 1; i >= 0; i--) {
            devices.members().get(i).makeCurrent();
            placed.addFirst(feeds.get(i).layer(index));
        }
        return placed;
    }

    /** Of a layer's weights, as {@link SourceDigest} has it. */
    String sha256(int layer) {
        return sha256.computeIfAbsent(layer, i -> SourceDigest.layer(source, i, workers));
    }

    @Override
    public void close() {
        for (int i = feeds.size() - 1; i >= 0; i--) {
            devices.members().get(i).makeCurrent();
            feeds.get(i).close();
        }
        workers.close();
    }
}
