package nibble.engine.host;

import java.util.List;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.AttentionPass;
import nibble.engine.backend.GradientExtents;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/** The operations of a backward pass as plain loops with sums in double: the specification. */
final class ReferenceGradients extends HostGradients {
    ReferenceGradients(LayerOperations layers) {
        super(layers);
    }

    @Override
    public void linears(List<Weight> weights, List<Matrix> dys, Matrix dx) {
        GradientExtents.linears(weights, dys, dx);
        float[] to = HostMatrix.values(dx);
        int columns = dx.columns();
        double[] sums = new double[to.length];
        float[] row = new float[columns];
        for (int i = 0; i < weights.size(); i++) {
            float[] dy = HostMatrix.values(dys.get(i));
            int out = weights.get(i).outFeatures();
            for (int n = 0; n < out; n++) {
                WeightRows.read(weights.get(i), n, 0, columns, row, 0);
                for (int t = 0; t < dx.rows(); t++) {
                    for (int k = 0; k < columns; k++) {
                        sums[t * columns + k] += (double) dy[t * out + n] * row[k];
                    }
                }
            }
        }
        for (int i = 0; i < to.length; i++) {
            to[i] = (float) sums[i];
        }
    }

    @Override
    public void addScales(PlacedCodes placed, Matrix dy, Matrix x, Parameter scales, @Nullable Parameter positions) {
        GradientExtents.scales(placed, dy, x, scales, positions);
        QuantizedLinear codes = HostCodes.of(placed);
        float[] into = HostParameter.sums(scales);
        float[] numbers = HostParameter.numbers(scales);
        float[] toPositions = positions == null ? new float[0] : HostPositions.sums(positions);
        float[] left = HostMatrix.values(dy);
        float[] right = HostMatrix.values(x);
        int out = codes.outFeatures();
        int in = codes.inFeatures();
        for (int n = 0; n < out; n++) {
            for (int group = 0; group < codes.groups(); group++) {
                int cell = n * codes.groups() + group;
                double sum = 0;
                for (int k = group * codes.groupSize(); k < (group + 1) * codes.groupSize(); k++) {
                    double weight = 0;
                    for (int t = 0; t < x.rows(); t++) {
                        weight += (double) left[t * out + n] * right[t * in + k];
                    }
                    sum += weight * (codes.code(n, k) - codes.zero(cell));
                    if (positions != null) {
                        toPositions[n * in + k] += (float) (weight * numbers[cell]);
                    }
                }
                into[cell] += (float) sum;
            }
        }
    }

    @Override
    public void addRmsNorm(Matrix x, Parameter gain, double epsilon, Matrix dy, Matrix dx) {
        GradientExtents.norm(x, gain, dy, dx);
        float[] to = HostMatrix.values(dx);
        float[] gradient = new float[to.length];
        norm(HostMatrix.values(x), gain, epsilon, HostMatrix.values(dy), gradient);
        for (int i = 0; i < to.length; i++) {
            to[i] += gradient[i];
        }
    }

    @Override
    public void rmsNormHeadsBack(Matrix x, Parameter gain, double epsilon, Matrix gradient) {
        GradientExtents.heads(x, gain, gradient);
        float[] both = HostMatrix.values(gradient);
        norm(HostMatrix.values(x), gain, epsilon, both, both);
    }

    /**
     * {@code dx = r (g − x r² ⟨g, x⟩ / n)} with {@code g = dy · weight} and {@code r = 1 / √(mean x² + ε)}.
     *
     * @param dx may be dy
     */
    private static void norm(float[] x, Parameter gain, double epsilon, float[] dy, float[] dx) {
        float[] weight = HostParameter.numbers(gain);
        float[] dWeight = HostParameter.sums(gain);
        int n = weight.length;
        double[] sums = new double[n];
        for (int row = 0; row < x.length; row += n) {
            double squares = 0;
            double product = 0;
            for (int i = 0; i < n; i++) {
                squares += (double) x[row + i] * x[row + i];
                product += (double) dy[row + i] * weight[i] * x[row + i];
            }
            double r = 1 / Math.sqrt(squares / n + epsilon);
            for (int i = 0; i < n; i++) {
                sums[i] += dy[row + i] * r * x[row + i];
                dx[row + i] = (float) (r * (dy[row + i] * (double) weight[i] - x[row + i] * r * r * product / n));
            }
        }
        for (int i = 0; i < n; i++) {
            dWeight[i] += (float) sums[i];
        }
    }

    @Override
    public void attention(AttentionShape shape, int sequences, AttentionPass pass) {
        pass.check(shape, sequences);
        int length = pass.query().rows() / sequences;
        double[] dk = new double[pass.keys().rows() * pass.keys().columns()];
        double[] dv = new double[dk.length];
        float[] q = HostMatrix.values(pass.query());
        float[] k = HostMatrix.values(pass.keys());
        float[] v = HostMatrix.values(pass.values());
        float[] o = HostMatrix.values(pass.out());
        float[] dO = HostMatrix.values(pass.dOut());
        float[] dq = HostMatrix.values(pass.dQuery());
        int d = shape.headDim();
        double scale = shape.scale();
        double[] p = new double[length];
        double[] slopes = new double[length];
        for (int t = 0; t < pass.query().rows(); t++) {
            int position = t % length;
            for (int h = 0; h < shape.heads(); h++) {
                int row = t * shape.queryColumns() + h * d;
                int kvHead = (t - position) * shape.keyColumns() + h / (shape.heads() / shape.kvHeads()) * d;
                int first = shape.firstSeen(position);
                double max = Double.NEGATIVE_INFINITY;
                for (int j = first; j <= position; j++) {
                    double score = scale * dot(q, row, k, kvHead + j * shape.keyColumns(), d);
                    p[j] = ReferenceBackend.capped(score, shape.cap());
                    slopes[j] = shape.caps() ? 1 - Math.pow(p[j] / shape.cap(), 2) : 1;
                    max = Math.max(max, p[j]);
                }
                double sum = 0;
                for (int j = first; j <= position; j++) {
                    p[j] = Math.exp(p[j] - max);
                    sum += p[j];
                }
                double mean = dot(dO, row, o, row, d);
                double[] dRow = new double[d];
                for (int j = first; j <= position; j++) {
                    int at = kvHead + j * shape.keyColumns();
                    double share = p[j] / sum;
                    double score = scale * share * slopes[j] * (dot(dO, row, v, at, d) - mean);
                    for (int i = 0; i < d; i++) {
                        dRow[i] += score * k[at + i];
                        dk[at + i] += score * q[row + i];
                        dv[at + i] += share * dO[row + i];
                    }
                }
                for (int i = 0; i < d; i++) {
                    dq[row + i] = (float) dRow[i];
                }
            }
        }
        float[] toKeys = HostMatrix.values(pass.dKeys());
        float[] toValues = HostMatrix.values(pass.dValues());
        for (int i = 0; i < dk.length; i++) {
            toKeys[i] = (float) dk[i];
            toValues[i] = (float) dv[i];
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
    public void glu(Activation activation, Matrix gate, Matrix up, Matrix dOut, Matrix dGate, Matrix dUp) {
        GradientExtents.glu(gate, up, dOut, dGate, dUp);
        float[] g = HostMatrix.values(gate);
        float[] u = HostMatrix.values(up);
        float[] from = HostMatrix.values(dOut);
        float[] toGate = HostMatrix.values(dGate);
        float[] toUp = HostMatrix.values(dUp);
        for (int i = 0; i < g.length; i++) {
            double x = g[i];
            double activated;
            double slope;
            switch (activation) {
                case SILU -> {
                    double share = 1 / (1 + Math.exp(-x));
                    activated = x * share;
                    slope = share * (1 + x * (1 - share));
                }
                case GELU_TANH -> {
                    double z = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
                    double tanh = Math.tanh(z);
                    activated = x / 2 * (1 + tanh);
                    slope = (1 + tanh) / 2
                            + x / 2 * (1 - tanh * tanh) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
                }
                default -> throw new IllegalArgumentException("gradient of " + activation);
            }
            double gradient = from[i];
            toUp[i] = (float) (gradient * activated);
            toGate[i] = (float) (gradient * u[i] * slope);
        }
    }

    @Override
    public double divergence(Weight head, float cap, Matrix original, Matrix x, float factor, @Nullable Matrix dx) {
        GradientExtents.divergence(head, original, x, dx);
        int n = x.columns();
        int vocabulary = head.outFeatures();
        double divergence = 0;
        float[] w = new float[vocabulary * n];
        for (int v = 0; v < vocabulary; v++) {
            WeightRows.read(head, v, 0, n, w, v * n);
        }
        float[] f = HostMatrix.values(original);
        float[] q = HostMatrix.values(x);
        for (int t = 0; t < x.rows(); t++) {
            double[] first = logSoftmax(f, t * n, w, n, vocabulary, cap);
            double[] second = logSoftmax(q, t * n, w, n, vocabulary, cap);
            double[] gradient = new double[n];
            for (int v = 0; v < vocabulary; v++) {
                double p = Math.exp(first[v]);
                divergence += p * (first[v] - second[v]);
                double d = Math.exp(second[v]) - p;
                if (cap != 0) {
                    double share = Math.tanh(dot(q, t * n, w, v * n, n) / cap);
                    d *= 1 - share * share;
                }
                for (int i = 0; i < n; i++) {
                    gradient[i] += d * w[v * n + i];
                }
            }
            for (int i = 0; dx != null && i < n; i++) {
                HostMatrix.values(dx)[t * n + i] = (float) (factor * gradient[i]);
            }
        }
        return divergence;
    }

    private static double[] logSoftmax(float[] x, int at, float[] head, int n, int vocabulary, float cap) {
        double[] logits = new double[vocabulary];
        double max = Double.NEGATIVE_INFINITY;
        for (int v = 0; v < vocabulary; v++) {
            logits[v] = ReferenceBackend.capped(dot(x, at, head, v * n, n), cap);
            max = Math.max(max, logits[v]);
        }
        double sum = 0;
        for (double logit : logits) {
            sum += Math.exp(logit - max);
        }
        for (int v = 0; v < vocabulary; v++) {
            logits[v] -= max + Math.log(sum);
        }
        return logits;
    }
}
