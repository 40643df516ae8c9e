package nibble.eval.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.datasets.BadDatasetException;
import org.jspecify.annotations.Nullable;

/**
 * Summarizes what quantization did to each layer: relative squared errors of the linears' outputs on the calibration
 * text, averaged over a layer's linears.
 *
 * @param method as {@code awq}
 * @param quantized by layer
 * @param rounding what plain rounding would have done, by layer
 * @param linears each linear by itself
 */
public record LayerErrors(String method, List<Double> quantized, List<Double> rounding, List<OfLinear> linears) {
    public LayerErrors {
        quantized = List.copyOf(quantized);
        rounding = List.copyOf(rounding);
        linears = List.copyOf(linears);
    }

    /**
     * Holds the errors of one linear.
     *
     * @param fit what method best says besides; null for other methods
     */
    public record OfLinear(
            String name,
            double quantized,
            double rounding,
            @Nullable OfFit fit) {}

    /**
     * Holds what method best says of a linear.
     *
     * @param awq relative error under AWQ's scales
     * @param propagatedShare 0 … 1
     * @param sweeps of coordinate descent, a mean over the rows
     * @param heldOut what the output lacks on text that the fit did not see, relative to its size; null without any
     * @param heldOutAwq the same under AWQ's scales
     * @param takenBack whether that was less, so that the linear is AWQ's
     */
    public record OfFit(
            double awq,
            double propagatedShare,
            double sweeps,
            @Nullable Double heldOut,
            @Nullable Double heldOutAwq,
            boolean takenBack) {}

    /**
     * Reads a checkpoint's {@code quantization_report.json}.
     *
     * @throws BadDatasetException if it is no such file, or was made without calibration and so has no errors
     */
    public static LayerErrors read(Path file) {
        JsonNode json = MeasurementFile.read(file);
        List<Double> quantized = new ArrayList<>();
        List<Double> rounding = new ArrayList<>();
        List<OfLinear> linears = new ArrayList<>();
        for (JsonNode layer : json.path("layers")) {
            quantized.add(mean(file, layer, "relative_error"));
            rounding.add(mean(file, layer, "rtn_relative_error"));
            layer.path("linears").forEach(linear -> linears.add(linear(linear)));
        }
        if (quantized.isEmpty()) {
            throw new BadDatasetException(file + ": no layers in it; give a checkpoint's quantization_report.json");
        }
        return new LayerErrors(json.path("method").asText("quantized"), quantized, rounding, linears);
    }

    private static OfLinear linear(JsonNode json) {
        JsonNode fit = json.path("fit");
        return new OfLinear(
                json.path("name").asText(),
                json.path("relative_error").doubleValue(),
                json.path("rtn_relative_error").doubleValue(),
                fit.isObject()
                        ? new OfFit(
                                fit.path("awq_relative_error").doubleValue(),
                                fit.path("propagated_share").doubleValue(),
                                fit.path("sweeps").doubleValue(),
                                number(fit.path("held_out_error")),
                                number(fit.path("held_out_awq_error")),
                                fit.path("taken_back").booleanValue())
                        : null);
    }

    private static @Nullable Double number(JsonNode json) {
        return json.isNumber() ? json.doubleValue() : null;
    }

    private static double mean(Path file, JsonNode layer, String field) {
        double sum = 0;
        for (JsonNode linear : layer.path("linears")) {
            if (!linear.path(field).isNumber()) {
                throw new BadDatasetException(
                        "%s: layer %d, %s: no %s, which takes a calibration text; leave the file out"
                                .formatted(
                                        file,
                                        layer.path("layer").asInt(),
                                        linear.path("name").asText(),
                                        field));
            }
            sum += linear.path(field).doubleValue();
        }
        return sum / Math.max(1, layer.path("linears").size());
    }
}
