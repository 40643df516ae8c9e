package nibble.engine.host;

import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.DeviceKind;
import nibble.engine.backend.Extents;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.TokenScores;
import nibble.engine.backend.Workers;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;

/**
 * Computes the operations as plain loops with sums in double: the specification that other backends are held to. One
 * thread, slow.
 */
public final class ReferenceBackend extends HostBackend {

    private final Workers workers = new Workers(1);

    @Override
    Workers workers() {
        return workers;
    }

    @Override
    public String arithmetic() {
        return "reference: plain loops, double sums";
    }

    @Override
    public DeviceKind kind() {
        return DeviceKind.REFERENCE;
    }

    @Override
    public String description() {
        return "reference: plain loops, double sums, 1 thread";
    }

    @Override
    public void embed(Weight embedding, int[] ids, Matrix out) {
        Extents.require("embed", "out", out, ids.length, embedding.inFeatures());
        Extents.ids(embedding, ids);
        for (int t = 0; t < ids.length; t++) {
            WeightRows.read(embedding, ids[t], 0, out.columns(), HostMatrix.values(out), t * out.columns());
        }
    }

    @Override
    public void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out) {
        Extents.require("rmsNorm", "out", out, x.rows(), x.columns());
        Extents.require("rmsNorm", "x", x, x.rows(), weight.length);
        rmsNorm(HostMatrix.values(x), weight, epsilon, HostMatrix.values(out));
    }

    @Override
    public void rmsNormHeads(Matrix x, float[] weight, double epsilon) {
        Extents.rmsNormHeads(x, weight.length);
        rmsNorm(HostMatrix.values(x), weight, epsilon, HostMatrix.values(x));
    }

    private static void rmsNorm(float[] from, float[] weight, double epsilon, float[] to) {
        int n = weight.length;
        for (int row = 0; row < from.length; row += n) {
            double squares = 0;
            for (int i = 0; i < n; i++) {
                squares += (double) from[row + i] * from[row + i];
            }
            double scale = 1 / Math.sqrt(squares / n + epsilon);
            for (int i = 0; i < n; i++) {
                to[row + i] = (float) (from[row + i] * scale * weight[i]);
            }
        }
    }

    @Override
    public void center(Matrix x, Matrix out) {
        Extents.require("center", "out", out, x.rows(), x.columns());
        float[] from = HostMatrix.values(x);
        float[] to = HostMatrix.values(out);
        int n = x.columns();
        for (int row = 0; row < from.length; row += n) {
            double sum = 0;
            for (int i = 0; i < n; i++) {
                sum += from[row + i];
            }
            for (int i = 0; i < n; i++) {
                to[row + i] = (float) (from[row + i] - sum / n);
            }
        }
    }

    @Override
    public void addBias(float[] bias, Matrix into) {
        Extents.require("addBias", "into", into, into.rows(), bias.length);
        float[] to = HostMatrix.values(into);
        for (int i = 0; i < to.length; i++) {
            to[i] += bias[i % bias.length];
        }
    }

    @Override
    public void scale(Matrix x, float factor) {
        float[] values = HostMatrix.values(x);
        for (int i = 0; i < values.length; i++) {
            values[i] *= factor;
        }
    }

    @Override
    public void linear(Weight weight, Matrix x, Matrix out) {
        Extents.linear(weight, x, out);
        float[] w = new float[weight.inFeatures()];
        for (int n = 0; n < weight.outFeatures(); n++) {
            WeightRows.read(weight, n, 0, w.length, w, 0);
            column(HostMatrix.values(x), x.rows(), w, 0, w.length, HostMatrix.values(out), n, out.columns());
        }
    }

    @Override
    public void multiplyTransposed(Matrix a, Matrix b, Matrix out) {
        Extents.require("multiplyTransposed", "b", b, b.rows(), a.columns());
        Extents.require("multiplyTransposed", "out", out, a.rows(), b.rows());
        int k = a.columns();
        for (int n = 0; n < b.rows(); n++) {
            column(HostMatrix.values(a), a.rows(), HostMatrix.values(b), n * k, k, HostMatrix.values(out), n, b.rows());
        }
    }

    /** {@code out[m, n] = Σ_k x[m, k] w[wOffset + k]} for all m of one column n. */
    private static void column(float[] x, int rows, float[] w, int wOffset, int k, float[] out, int n, int outColumns) {
        for (int m = 0; m < rows; m++) {
            out[m * outColumns + n] = (float) dot(x, m * k, w, wOffset, k);
        }
    }

    private static double dot(float[] a, int aOffset, float[] b, int bOffset, int n) {
        double sum = 0;
        for (int i = 0; i < n; i++) {
            sum += (double) a[aOffset + i] * b[bOffset + i];
        }
        return sum;
    }

    @Override
    public void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition) {
        Extents.rope(x, headDim, table, sequences, firstPosition);
        float[] values = HostMatrix.values(x);
        int half = table.half();
        int length = x.rows() / sequences;
        for (int t = 0; t < x.rows(); t++) {
            int angle = (firstPosition + t % length) * half;
            for (int head = t * x.columns(); head < (t + 1) * x.columns(); head += headDim) {
                for (int i = 0; i < half; i++) {
                    double cos = table.cos()[angle + i];
                    double sin = table.sin()[angle + i];
                    double first = values[head + i];
                    double second = values[head + half + i];
                    values[head + i] = (float) (first * cos - second * sin);
                    values[head + half + i] = (float) (second * cos + first * sin);
                }
            }
        }
    }

    @Override
    public void attention(
            AttentionShape s, int sequences, Matrix query, int firstPosition, Matrix keys, Matrix values, Matrix out) {
        Extents.attention(s, sequences, query, firstPosition, keys, values, out);
        float[] q = HostMatrix.values(query);
        float[] k = HostMatrix.values(keys);
        float[] v = HostMatrix.values(values);
        float[] o = HostMatrix.values(out);
        int d = s.headDim();
        double scale = s.scale();
        int length = query.rows() / sequences;
        int keyRows = keys.rows() / sequences;
        double[] p = new double[firstPosition + length];
        for (int t = 0; t < query.rows(); t++) {
            int seen = firstPosition + t % length + 1;
            int firstSeen = s.firstSeen(seen - 1);
            for (int h = 0; h < s.heads(); h++) {
                int row = t * s.queryColumns() + h * d;
                int kvHead = t / length * keyRows * s.keyColumns() + h / (s.heads() / s.kvHeads()) * d;
                double max = s.hasSinks() ? s.sinks()[h] : Double.NEGATIVE_INFINITY;
                for (int j = firstSeen; j < seen; j++) {
                    p[j] = capped(scale * dot(q, row, k, j * s.keyColumns() + kvHead, d), s.cap());
                    max = Math.max(max, p[j]);
                }
                double sum = s.hasSinks() ? Math.exp(s.sinks()[h] - max) : 0;
                for (int j = firstSeen; j < seen; j++) {
                    p[j] = Math.exp(p[j] - max);
                    sum += p[j];
                }
                for (int i = 0; i < d; i++) {
                    double weighted = 0;
                    for (int j = firstSeen; j < seen; j++) {
                        weighted += p[j] * v[j * s.keyColumns() + kvHead + i];
                    }
                    o[row + i] = (float) (weighted / sum);
                }
            }
        }
    }

    @Override
    public void mixRows(Matrix products, int[] places, float[] weights, Matrix into) {
        int k = Extents.mixRows(products, places, weights, into);
        float[] from = HostMatrix.values(products);
        float[] to = HostMatrix.values(into);
        int n = into.columns();
        for (int t = 0; t < into.rows(); t++) {
            for (int i = 0; i < n; i++) {
                double sum = 0;
                for (int j = t * k; j < (t + 1) * k; j++) {
                    sum += (double) weights[j] * from[places[j] * n + i];
                }
                to[t * n + i] += (float) sum;
            }
        }
    }

    @Override
    public void glu(Activation activation, Matrix gate, Matrix up, Matrix out) {
        Extents.glu(gate, up, out);
        float[] g = HostMatrix.values(gate);
        float[] u = HostMatrix.values(up);
        float[] o = HostMatrix.values(out);
        for (int i = 0; i < o.length; i++) {
            o[i] = (float) glu(activation, g[i], u[i]);
        }
    }

    private static double glu(Activation activation, double x, double up) {
        return switch (activation) {
            case SILU -> x / (1 + Math.exp(-x)) * up;
            case GELU_TANH -> x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))) * up;
            case CLAMPED_SWIGLU -> {
                double gate = Math.min(x, Activation.CLAMPED_LIMIT);
                double clamped = Math.clamp(up, -Activation.CLAMPED_LIMIT, Activation.CLAMPED_LIMIT);
                yield (clamped + 1) * gate / (1 + Math.exp(-Activation.CLAMPED_FACTOR * gate));
            }
        };
    }

    @Override
    public void add(Matrix x, Matrix into) {
        Extents.require("add", "x", x, into.rows(), into.columns());
        float[] from = HostMatrix.values(x);
        float[] to = HostMatrix.values(into);
        for (int i = 0; i < to.length; i++) {
            to[i] += from[i];
        }
    }

    /** {@code cap tanh(x / cap)}, or x where the cap is 0. */
    static double capped(double x, double cap) {
        return cap == 0 ? x : cap * Math.tanh(x / cap);
    }

    @Override
    public void cap(Matrix x, float most) {
        float[] values = HostMatrix.values(x);
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) capped(values[i], most);
        }
    }

    @Override
    public TokenScores score(Weight head, LogitRule rule, Matrix x, int[] next) {
        Extents.logProbabilities(head, rule, x, next);
        int k = head.inFeatures();
        float[] result = new float[next.length];
        int[] likeliest = new int[next.length];
        float[] w = new float[Math.multiplyExact(head.outFeatures(), k)];
        for (int n = 0; n < head.outFeatures(); n++) {
            WeightRows.read(head, n, 0, k, w, n * k);
        }
        double[] logits = new double[head.outFeatures()];
        for (int t = 0; t < next.length; t++) {
            double max = Double.NEGATIVE_INFINITY;
            for (int n = 0; n < logits.length; n++) {
                double product = dot(HostMatrix.values(x), t * k, w, n * k, k);
                logits[n] = capped(product + (rule.hasBias() ? rule.bias()[n] : 0), rule.cap());
                if (logits[n] > max) {
                    max = logits[n];
                    likeliest[t] = n;
                }
            }
            double sum = 0;
            for (double logit : logits) {
                sum += Math.exp(logit - max);
            }
            result[t] = (float) (logits[next[t]] - max - Math.log(sum));
        }
        return new TokenScores(result, likeliest);
    }

    @Override
    public void subtract(Matrix a, Matrix b, Matrix out) {
        Extents.require("subtract", "b", b, a.rows(), a.columns());
        Extents.require("subtract", "out", out, a.rows(), a.columns());
        float[] left = HostMatrix.values(a);
        float[] right = HostMatrix.values(b);
        float[] to = HostMatrix.values(out);
        for (int i = 0; i < to.length; i++) {
            to[i] = left[i] - right[i];
        }
    }

    @Override
    public double squares(Matrix x) {
        double sum = 0;
        for (float value : HostMatrix.values(x)) {
            sum += (double) value * value;
        }
        return sum;
    }

    @Override
    public void addCrossMoment(Matrix y, Matrix x, Matrix moment) {
        Extents.require("addCrossMoment", "y", y, x.rows(), y.columns());
        Extents.require("addCrossMoment", "moment", moment, y.columns(), x.columns());
        float[] left = HostMatrix.values(y);
        float[] right = HostMatrix.values(x);
        float[] m = HostMatrix.values(moment);
        for (int i = 0; i < y.columns(); i++) {
            for (int j = 0; j < x.columns(); j++) {
                double sum = 0;
                for (int t = 0; t < x.rows(); t++) {
                    sum += (double) left[t * y.columns() + i] * right[t * x.columns() + j];
                }
                m[i * x.columns() + j] += (float) sum;
            }
        }
    }

    @Override
    public void addSecondMoment(Matrix x, Matrix moment) {
        int k = x.columns();
        Extents.require("addSecondMoment", "moment", moment, k, k);
        float[] values = HostMatrix.values(x);
        float[] m = HostMatrix.values(moment);
        for (int i = 0; i < k; i++) {
            for (int j = 0; j <= i; j++) {
                double sum = 0;
                for (int t = 0; t < x.rows(); t++) {
                    sum += (double) values[t * k + i] * values[t * k + j];
                }
                m[i * k + j] = (float) (m[i * k + j] + sum);
                m[j * k + i] = m[i * k + j];
            }
        }
    }

    @Override
    public GradientOperations gradients() {
        return new ReferenceGradients(this);
    }

    @Override
    public void close() {}
}
