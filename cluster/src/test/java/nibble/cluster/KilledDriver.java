package nibble.cluster;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationReport;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterSettings;
import nibble.files.output.StopSignal;

/** A driver with its task in one process of its own, which the test kills with SIGKILL. */
final class KilledDriver {
    private static final String LAYER = "layer is durable: ";

    private KilledDriver() {}

    /**
     * Quantizes a model: folder of the model, of the output, URI of the shared folder, number of the layer that it
     * never gets beyond, however late the signal comes.
     */
    public static void main(String[] arguments) {
        int last = Integer.parseInt(arguments[3]);
        ProgressListener says = new ProgressListener() {
            @Override
            public void layerFinished(int layer, QuantizationReport.Layer report, double seconds) {
                System.out.println(LAYER + layer);
                if (layer == last) {
                    waitForEnd();
                }
            }
        };
        try (Cluster cluster = Cluster.open(new ClusterSettings("local[1]", Map.of()), new StopSignal())) {
            ClusterQuantizationTest.awq(
                    cluster, Path.of(arguments[0]), Path.of(arguments[1]), false, arguments[2], says);
        }
    }

    /** Until the test's process kills this one, or ends itself. */
    private static void waitForEnd() {
        try {
            System.in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns the command line of a process of Java as this one is, with another main class. */
    static List<String> command(Class<?> main, String... arguments) {
        List<String> command =
                new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow()));
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(argument -> argument.startsWith("--"))
                .forEach(command::add);
        command.addAll(List.of(compiler().split(" ")));
        command.addAll(List.of("-XX:+UseSerialGC", "-cp", System.getProperty("java.class.path"), main.getName()));
        command.addAll(List.of(arguments));
        return command;
    }

    /** The build's options for short runs; products by the Vector API are slow without the second compiler. */
    static String compiler() {
        return System.getProperty("nibble.test.compiler", "-XX:+TieredCompilation");
    }

    /** Starts one and kills it as soon as a layer is durable. */
    static void runUntilDurable(int layer, Path model, Path out, String shared) throws IOException {
        Process driver = new ProcessBuilder(command(
                        KilledDriver.class, model.toString(), out.toString(), shared, Integer.toString(layer + 1)))
                .redirectError(ProcessBuilder.Redirect.to(new File(out + ".err")))
                .start();
        try (BufferedReader said = driver.inputReader()) {
            String line = said.readLine();
            while (line != null && !line.equals(LAYER + layer)) {
                line = said.readLine();
            }
            if (line == null) {
                throw new IllegalStateException(
                        "the driver ended before layer " + layer + ": " + Files.readString(Path.of(out + ".err")));
            }
        } finally {
            driver.destroyForcibly().onExit().join();
        }
    }
}
