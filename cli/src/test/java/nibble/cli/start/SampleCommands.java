package nibble.cli.start;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;
import nibble.cli.SmallModel;
import nibble.cli.TinyModel;

/** Runs the commands that tests start, small as they can be, for the classes that they load. */
final class SampleCommands {
    private SampleCommands() {}

    public static void main(String[] arguments) throws IOException {
        Path folder = Files.createTempDirectory("nibble-sample");
        try {
            Path model = SmallModel.ofLayers(folder.resolve("model"), 1, 64);
            Path text = Files.writeString(folder.resolve("text"), "The city lies on the river. ".repeat(20));
            // Plain loops, since the search by the Vector API takes long before it is compiled.
            Object[] quantize = {"quantize", model, folder.resolve("awq"), "--method", "awq", "--group-size", 64};
            Object[] input = {"--calibration", text, "--samples", 1, "--seq-len", 16, "--device", "reference"};
            TinyModel.run(Stream.of(quantize, input).flatMap(Stream::of).toArray());
            TinyModel.run("quantize", model, folder.resolve("rtn"), "--method", "rtn", "--group-size", 64);
            TinyModel.run("convert", model, folder.resolve("gguf"), "--format", "gguf", "--type", "Q4_0");
            TinyModel.run("verify", folder.resolve("awq"));
            TinyModel.run("inspect", model, "--json", "-");
            TinyModel.run("generate", model, "--prompt", "The", "--max-new-tokens", 1, "--threads", 1);
            TinyModel.run(
                    "eval", "perplexity", model, "--dataset", text, "--context", 16, "--windows", 1, "--json", "-");
        } finally {
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }
}
