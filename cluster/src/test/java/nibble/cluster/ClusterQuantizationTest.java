package nibble.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import nibble.calibrate.CheckpointQuantizer;
import nibble.calibrate.job.BestSettings;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.cluster.quantize.ClusterLayers;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterException;
import nibble.convert.RandomCheckpoint;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backends;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Layers that executors make are those of one machine, to the last bit, whatever is lost meanwhile. */
@ExtendWith(LocalExecutors.class)
class ClusterQuantizationTest {
    private static final int LAYERS = 4;

    @TempDir
    Path temp;

    private Path model;

    @BeforeEach
    void make() throws IOException {
        model = RandomCheckpoint.write(
                temp.resolve("model"),
                Map.of(),
                RandomCheckpoint.config().replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": " + LAYERS));
    }

    private static TokenBlocks blocks() {
        Random random = new Random(3);
        int[][] blocks = new int[6][32];
        for (int[] block : blocks) {
            for (int i = 0; i < block.length; i++) {
                block[i] = random.nextInt(48);
            }
        }
        return new TokenBlocks(blocks, 200, "random ids");
    }

    private static QuantizeOptions options(Method method) {
        return new QuantizeOptions(
                method, new QuantizationSpec(4, 32), QuantizedFormat.AWQ_GEMM, 30_000, 2, false, BestSettings.NO_STEPS);
    }

    private static QuantizationJob job(Checkpoint source, Method method) {
        return new QuantizationJob(
                source, method == Method.RTN ? Optional.empty() : Optional.of(blocks()), options(method));
    }

    private Map<String, String> here(Method method) throws IOException {
        Path out = temp.resolve("here-" + method.label());
        try (Checkpoint source = Checkpoint.open(model);
                QuantizationDevices devices = QuantizationDevices.of(Backends.open("cpu", 2))) {
            CheckpointQuantizer.quantize(
                    job(source, method), out, false, devices, ProgressListener.NONE, new StopSignal());
        }
        return FolderHashes.of(out);
    }

    private void spread(Path out, Method method, boolean resume, ProgressListener listener, StopSignal stop) {
        quantize(LocalExecutors.cluster(), model, out, method, resume, shared("file"), listener, stop);
    }

    private String shared(String scheme) {
        return scheme + ":" + temp.resolve("shared");
    }

    private static void quantize(
            Cluster cluster,
            Path model,
            Path out,
            Method method,
            boolean resume,
            String shared,
            ProgressListener listener,
            StopSignal stop) {
        try (Checkpoint source = Checkpoint.open(model)) {
            ClusterLayers.quantize(cluster, job(source, method), model.toString(), out, resume, shared, listener, stop);
        }
    }

    /** Quantizes a model with AWQ, on any cluster. */
    static void awq(Cluster cluster, Path model, Path out, boolean resume, String shared, ProgressListener listener) {
        quantize(cluster, model, out, Method.AWQ, resume, shared, listener, new StopSignal());
    }

    @Test
    void layers_have_the_same_bytes_though_an_executor_is_killed_in_the_middle() throws IOException {
        AtomicBoolean killed = new AtomicBoolean();
        Path out = temp.resolve("out");

        spread(
                out,
                Method.AWQ,
                false,
                new ProgressListener() {
                    @Override
                    public void layerFinished(int layer, QuantizationReport.Layer report, double seconds) {
                        if (killed.compareAndSet(false, true)) {
                            LocalExecutors.killOne();
                        }
                    }
                },
                new StopSignal());

        assertThat(killed).isTrue();
        assertThat(FolderHashes.of(out)).isEqualTo(here(Method.AWQ)).hasSizeGreaterThan(5);
        assertThat(temp.resolve("shared")).doesNotExist();
    }

    @Test
    void a_driver_that_stopped_goes_on_and_ends_in_the_same_bytes() throws IOException {
        Path out = temp.resolve("out");
        StopSignal stop = new StopSignal();
        ProgressListener stops = new ProgressListener() {
            @Override
            public void layerFinished(int layer, QuantizationReport.Layer report, double seconds) {
                if (layer == 1) {
                    stop.raise();
                }
            }
        };

        assertThatThrownBy(() -> spread(out, Method.AWQ, false, stops, stop)).isInstanceOf(StoppedException.class);
        assertThat(out).doesNotExist();
        spread(out, Method.AWQ, true, ProgressListener.NONE, new StopSignal());

        assertThat(FolderHashes.of(out)).isEqualTo(here(Method.AWQ));
    }

    @Test
    void a_driver_that_was_killed_goes_on_and_ends_in_the_same_bytes() throws IOException {
        Path out = temp.resolve("out");

        KilledDriver.runUntilDurable(1, model, out, shared("file"));
        assertThat(out).doesNotExist();
        List<Integer> made = Collections.synchronizedList(new ArrayList<>());
        ProgressListener counts = new ProgressListener() {
            @Override
            public void layerFinished(int layer, QuantizationReport.Layer report, double seconds) {
                made.add(layer);
            }
        };
        spread(out, Method.AWQ, true, counts, new StopSignal());

        assertThat(FolderHashes.of(out)).isEqualTo(here(Method.AWQ));
        assertThat(made).isSubsetOf(2, 3).contains(3);
        assertThat(temp.resolve("shared")).doesNotExist();
    }

    @Test
    void plain_rounding_needs_no_stream_and_an_object_store_no_rename() throws IOException {
        Path out = temp.resolve("out");

        quantize(
                LocalExecutors.cluster(),
                model,
                out,
                Method.RTN,
                false,
                shared(ObjectStore.SCHEME),
                ProgressListener.NONE,
                new StopSignal());

        assertThat(FolderHashes.of(out)).isEqualTo(here(Method.RTN));
    }

    @Test
    void method_best_says_why_its_layers_are_not_shared_out() {
        assertThatThrownBy(
                        () -> spread(temp.resolve("out"), Method.BEST, false, ProgressListener.NONE, new StopSignal()))
                .isInstanceOf(ClusterException.class)
                .hasMessageContaining("--method awq or rtn");
    }
}
