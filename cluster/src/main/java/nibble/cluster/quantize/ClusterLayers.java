package nibble.cluster.quantize;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import nibble.calibrate.CheckpointQuantizer;
import nibble.calibrate.LayerSupply;
import nibble.calibrate.SeparateLayers;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.journal.FinishedLayer;
import nibble.calibrate.journal.JobFingerprint;
import nibble.cluster.shared.SharedFolder;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterException;
import nibble.datasets.TokenBlocks;
import nibble.files.digest.Sha256;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;

/**
 * Quantizes one model over several hosts: one task runs the calibration text through the layers, and a task for each
 * layer searches and rounds it. The driver writes the layers down in order. Methods rtn and awq, on the CPU.
 */
public final class ClusterLayers implements LayerSupply {
    private static final int POLL_MILLIS = 100;

    private final Cluster cluster;
    private final LayerPlace place;
    private final Optional<TokenBlocks> blocks;
    private final int layers;
    private final long mostBytes;
    private final StopSignal stop;
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final List<Thread> threads = new ArrayList<>();
    private volatile boolean closed;

    private ClusterLayers(Cluster cluster, LayerPlace place, QuantizationJob job, StopSignal stop) {
        this.cluster = cluster;
        this.place = place;
        this.blocks = job.blocks();
        this.layers = job.source().config().layers();
        this.mostBytes = job.source().tensorBytes();
        this.stop = stop;
    }

    /**
     * Quantizes a model into a folder, as {@link CheckpointQuantizer} does on one machine, to the last bit.
     *
     * @param model path of the job's source on every host
     * @param resume whether to go on with an unfinished run, and with what it left in the shared folder
     * @param shared URI of a folder that all hosts see, for second moments and finished layers meanwhile
     * @throws ClusterException if the method's layers depend on each other, or work on the cluster failed for good
     * @throws StoppedException if {@code stop} was raised
     */
    public static QuantizationReport quantize(
            Cluster cluster,
            QuantizationJob job,
            String model,
            Path out,
            boolean resume,
            String shared,
            ProgressListener listener,
            StopSignal stop) {
        if (!SeparateLayers.canBeMade(job.options().method())) {
            throw new ClusterException("method " + job.options().method().label()
                    + " fits each layer to what the quantized layers before it give, so layers cannot be made"
                    + " separately; give --method awq or rtn, or a row of its own to each model");
        }
        LayerPlace asked = new LayerPlace(model, job.options(), new SharedFolder(shared), Map.of());
        Map<String, String> identity = cluster.run("looking at " + model, 0, new LayerPlace.Question(asked));
        String arithmetic = asked.with(asked.shared(), identity).arithmetic();
        // Files of another job never get mixed in.
        String name = new Sha256()
                .add(JobFingerprint.of(job, arithmetic).values().toString())
                .add(out.toAbsolutePath().toString())
                .hex()
                .substring(0, 16);
        SharedFolder own = new SharedFolder(shared + "/nibble-" + name);
        if (!resume) {
            own.deleteAll();
        }
        own.make();
        QuantizationReport report;
        try (ClusterLayers supply = new ClusterLayers(cluster, asked.with(own, identity), job, stop)) {
            report = CheckpointQuantizer.assemble(job, out, resume, arithmetic, supply, listener);
        }
        own.deleteAll();
        new SharedFolder(shared).deleteIfEmpty();
        return report;
    }

    @Override
    public void begin(int first) {
        if (blocks.isPresent() && first < layers) {
            // One slot is the stream's; with no other, moments of all layers have to wait.
            int slots = cluster.slotsNow();
            int ahead = slots > 1 ? 2 * slots : Integer.MAX_VALUE;
            StreamTask stream = new StreamTask(place, blocks.get().blocks(), first, ahead);
            start("stream", () -> cluster.runAlone("calibration text", 0, stream));
        }
        start("layers", () -> submit(first));
    }

    /** Submits each layer's task as soon as its moments are there. */
    private void submit(int first) {
        for (int layer = first; layer < layers; layer++) {
            while (!isReady(layer)) {
                if (closed || failure.get() != null) {
                    return;
                }
                pause();
            }
            int index = layer;
            start("layer " + index, () -> {
                cluster.run("layer " + index, index, new LayerTask(place, blocks.isPresent()));
            });
        }
    }

    private boolean isReady(int layer) {
        return blocks.isEmpty()
                || place.shared().has(LayerPlace.MOMENTS + layer)
                || place.shared().has(LayerPlace.LAYER + layer);
    }

    private synchronized void start(String name, Runnable work) {
        threads.add(Thread.ofVirtual().name(name).start(() -> {
            try {
                work.run();
            } catch (RuntimeException | Error e) {
                failure.compareAndSet(null, e);
            }
        }));
    }

    @Override
    public FinishedLayer layer(int layer) {
        requireGoing(layer);
        while (!place.shared().has(LayerPlace.LAYER + layer)) {
            switch (failure.get()) {
                case null -> {}
                case RuntimeException e -> throw e;
                case Error e -> throw e;
                case Throwable e -> throw new IllegalStateException(e);
            }
            requireGoing(layer);
            pause();
        }
        return place.shared().read(LayerPlace.LAYER + layer, in -> LayerFile.read(in, layer, mostBytes));
    }

    private void requireGoing(int layer) {
        if (stop.raised()) {
            throw new StoppedException("stopped before layer " + layer);
        }
    }

    @Override
    public void durable(int layer) {
        // First the word that nobody needs it: a stream that begins again goes by it.
        place.shared().write(LayerPlace.DURABLE + layer, "driver", _ -> {});
        place.shared().delete(LayerPlace.LAYER + layer);
        place.shared().delete(LayerPlace.MOMENTS + layer);
    }

    private static void pause() {
        try {
            Thread.sleep(POLL_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new StoppedException("interrupted while the cluster worked");
        }
    }

    @Override
    public synchronized void close() {
        closed = true;
        threads.forEach(Thread::interrupt);
    }
}
