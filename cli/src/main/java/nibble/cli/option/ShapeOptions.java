package nibble.cli.option;

import nibble.checkpoint.inspect.ModelShape;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Describes a model named by its extents alone; shared by the benchmarks. */
public final class ShapeOptions {
    @Option(
            names = "--shape",
            paramLabel = "NAME",
            description =
                    "Shape of the model, as llama-2-7b, gemma-3-27b or tiny; the message for an unknown name lists"
                            + " all.")
    private String shape = "";

    @Option(names = "--layers", paramLabel = "N", description = "Decoder layers. Default: the shape's.")
    private @Nullable Integer layers;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "0",
            description = "Same seed, same weights. Default: ${DEFAULT-VALUE}.")
    public long seed;

    public ModelShape shape() {
        if (shape.isEmpty()) {
            throw new UsageException("--shape is missing; known are " + String.join(", ", ModelShape.names()));
        }
        ModelShape named = ModelShape.named(shape)
                .orElseThrow(() -> new UsageException(
                        "--shape " + shape + ": not known; known are " + String.join(", ", ModelShape.names())));
        if (layers == null) {
            return named;
        }
        if (layers < 1 || layers > 10_000) {
            throw new UsageException("--layers " + layers + ": 1 to 10,000");
        }
        return named.withLayers(layers);
    }
}
