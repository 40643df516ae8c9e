package nibble.calibrate.job;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.checkpoint.origin.Origin;
import org.jspecify.annotations.Nullable;

/**
 * Reports what was done to every linear and what it cost. JSON in snake_case.
 *
 * <p>Relative errors are {@code ‖(Ŵ−W)X‖² / ‖WX‖²} over the calibration tokens, with Ŵ in the basis of the original W.
 *
 * @param bits bits of a code
 * @param groupSize input columns a scale; −1 for whole rows
 * @param source where the model came from; null where nothing of that is known
 * @param calibration null where there was none
 * @param meanRelativeError mean over all linears; null without calibration
 * @param meanRtnRelativeError the same for plain rounding
 * @param warnings what a user should know: tensors that lost more than rounding loses as a rule
 * @param tuning null where there was none
 * @param times null where the report was read from a file, which holds none
 */
public record QuantizationReport(
        Method method,
        int bits,
        int groupSize,
        @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Origin source,
        @Nullable Calibration calibration,
        @Nullable Double meanRelativeError,
        @Nullable Double meanRtnRelativeError,
        List<Layer> layers,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) List<String> warnings,
        @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Tuning tuning,
        @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Times times) {

    /**
     * Holds the times of a run.
     *
     * @param wallSeconds from the opening of the source to the last layer's durability
     * @param stageSeconds by stage; all but "pack" and "write" follow one another
     * @param layerSeconds of each layer; null where an earlier run made it
     * @param resumedLayers layers that an earlier run made
     */
    public record Times(
            double wallSeconds,
            Map<Stage, Double> stageSeconds,
            List<@Nullable Double> layerSeconds,
            int resumedLayers) {
        public Times {
            stageSeconds = Collections.unmodifiableMap(new EnumMap<>(stageSeconds));
            layerSeconds = Collections.unmodifiableList(new ArrayList<>(layerSeconds));
        }
    }

    /**
     * Describes the text that statistics come from.
     *
     * @param tokensSha256 of the token ids as little-endian 32-bit integers, block after block
     * @param blocks sequences, each run on its own
     * @param tokens tokens in all blocks
     * @param tokensFound tokens the text had
     */
    public record Calibration(String description, String tokensSha256, int blocks, long tokens, long tokensFound) {}

    /**
     * Describes how scales and norms were tuned. A divergence is the mean over tokens of KL(original ‖ quantized) of
     * next-token distributions, in nats, on calibration text that no step was taken on.
     *
     * @param steps of Adam
     * @param tokensPerStep tokens of each
     * @param heldOutTokens tokens that divergences are means over
     * @param divergenceBefore of the layers as fitted
     * @param divergenceAfter of the tuned model
     * @param kept whether the tuned model was written, as it diverges less; else the layers as fitted were
     * @param codes whether codes were tuned too: the device had room for their positions
     * @param movedCodes share of all codes that differ from those of the fit; 0 if the tuned model was not written
     */
    public record Tuning(
            int steps,
            int tokensPerStep,
            long heldOutTokens,
            double divergenceBefore,
            double divergenceAfter,
            boolean kept,
            boolean codes,
            double movedCodes) {}

    /** Returns the same with its tuning and times. */
    public QuantizationReport tuned(@Nullable Tuning result, List<String> moreWarnings, Times newTimes) {
        List<String> all = new ArrayList<>(warnings);
        all.addAll(moreWarnings);
        return new QuantizationReport(
                method,
                bits,
                groupSize,
                source,
                calibration,
                meanRelativeError,
                meanRtnRelativeError,
                layers,
                all,
                result,
                newTimes);
    }

    /**
     * Describes one decoder layer.
     *
     * @param experts what its experts saw; null for a layer without, and without calibration
     */
    public record Layer(
            int layer,
            List<Linear> linears,
            List<Pair> pairs,

            @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable
            Experts experts) {
        public Layer(int layer, List<Linear> linears, List<Pair> pairs) {
            this(layer, linears, pairs, null);
        }
    }

    /**
     * Says how many calibration tokens the routed experts of a layer saw, in order.
     *
     * @param tokensPerColumn tokens that an expert's statistics need for each column of its widest linear
     * @param tokensNeeded of an expert
     * @param routedTokens that the router sent to each
     * @param addedTokens others, spread over the text, that its statistics have too because those were too few
     */
    public record Experts(int tokensPerColumn, long tokensNeeded, List<Long> routedTokens, List<Long> addedTokens) {
        public Experts {
            routedTokens = List.copyOf(routedTokens);
            addedTokens = List.copyOf(addedTokens);
        }
    }

    /**
     * Describes one linear.
     *
     * @param name module name, as model.layers.3.mlp.up_proj
     * @param relativeError null without calibration
     * @param rtnRelativeError of plain rounding; null without calibration
     * @param weightRelativeError {@code ‖Ŵ−W‖² / ‖W‖²}
     * @param clippedGroups share of groups with a clip below their largest weight
     * @param meanClip mean over all groups of the clip as a share of the largest weight; 1 means none
     * @param fit what method best did; null for the others
     */
    @JsonInclude(JsonInclude.Include.ALWAYS)
    public record Linear(
            String name,
            int outFeatures,
            int inFeatures,
            @Nullable Double relativeError,
            @Nullable Double rtnRelativeError,
            double weightRelativeError,
            double clippedGroups,
            double meanClip,

            @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable
            Fit fit) {
        /** Returns the same with another fit. */
        public Linear with(Fit other) {
            return new Linear(
                    name,
                    outFeatures,
                    inFeatures,
                    relativeError,
                    rtnRelativeError,
                    weightRelativeError,
                    clippedGroups,
                    meanClip,
                    other);
        }
    }

    /**
     * Describes a fit of method best. Its errors compare with those of plain rounding and AWQ on the inputs that the
     * quantized model has there.
     *
     * @param awqRelativeError of plain rounding under AWQ's scales, without clips
     * @param propagatedShare how much of the move that undoes earlier errors was made, 0 … 1
     * @param sweeps of coordinate descent, a mean over the rows
     * @param heldOutError what the output lacks to the original model's, in squares relative to its size, on
     *     calibration text that the fit did not see; it holds what the linears before lost. Null for a short text
     * @param heldOutAwqError the same of plain rounding under AWQ's scales
     * @param takenBack whether that was less, so that the linear was written so
     */
    public record Fit(
            double awqRelativeError,
            double propagatedShare,
            double sweeps,
            @Nullable Double heldOutError,
            @Nullable Double heldOutAwqError,
            boolean takenBack) {}

    /** Returns the names of the linears that were taken back to plain rounding under AWQ's scales. */
    public List<String> takenBack() {
        return layers.stream()
                .flatMap(layer -> layer.linears().stream())
                .filter(linear -> linear.fit() != null && linear.fit().takenBack())
                .map(Linear::name)
                .toList();
    }

    /**
     * Describes one scale shared by a producer of channels and the linears that read them.
     *
     * @param formula "identity", "x^r" or "x^r/w^(1-r)"
     * @param ratio r of the formula; null for identity
     * @param loss {@code Σ ‖(Ŵ−W)X‖²} of the pair's linears as searched, before clipping
     * @param finalLoss the same for what was written
     * @param rtnLoss the same for plain rounding
     * @param fallback true where a better candidate was taken back, since the written weights were worse than plain
     *     rounding; with method best, where a linear was, since it was worse on text that the fit did not see
     */
    public record Pair(
            String pair,
            String formula,
            @Nullable Double ratio,
            double loss,
            double finalLoss,
            double rtnLoss,
            boolean fallback) {}

    /** The report's name in the output folder. It holds no wall times: the same inputs give the same bytes. */
    public static final String FILE_NAME = "quantization_report.json";

    private static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .build();

    public QuantizationReport {
        layers = List.copyOf(layers);
        // A report without warnings has no such key.
        warnings = warnings == null ? List.of() : List.copyOf(warnings);
    }

    /** Returns the report as a JSON tree. */
    public ObjectNode toJson() {
        JsonNode tree = JSON.valueToTree(this);
        return (ObjectNode) tree;
    }

    /**
     * Reads what {@link #toReproducibleJson} wrote.
     *
     * @throws IOException if it is something else
     */
    public static QuantizationReport of(String json) throws IOException {
        return JSON.readValue(json, QuantizationReport.class);
    }

    /** Returns JSON text without wall times, so that the same inputs give the same bytes. */
    public String toReproducibleJson() throws IOException {
        ObjectNode tree = toJson();
        tree.remove("times");
        return JSON.writer(new DefaultPrettyPrinter()
                                .withObjectIndenter(new DefaultIndenter("  ", "\n"))
                                .withArrayIndenter(new DefaultIndenter("  ", "\n")))
                        .writeValueAsString(tree)
                + "\n";
    }
}
