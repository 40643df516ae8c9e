package nibble.checkpoint.model;

import java.util.Locale;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;

/**
 * Says where a checkpoint stores one of a layer's seven linears.
 *
 * @param module what holds it
 * @param firstRow its first row in the module's weight [out, in]
 */
public record StoredLinear(
        LinearModule module, Linear linear, int layer, int firstRow, int outFeatures, int inFeatures) {

    /** Returns the module's weight, as {@code model.layers.17.self_attn.qkv_proj.weight}. */
    public String weight() {
        return module.name(layer) + ".weight";
    }

    /** Returns the name in a report: the module's name, with the part's in brackets where the module is fused. */
    public String label() {
        String name = module.name(layer);
        return module.isFused() ? name + "[" + linear.name().toLowerCase(Locale.ROOT) + "]" : name;
    }

    /** Names it inside its layer. */
    public LayerLinear id() {
        return new LayerLinear(linear, module.expert());
    }

    /** Returns this linear's rows of its module's weight. */
    public TensorView rows(TensorView whole) {
        if (!module.isFused()) {
            return whole;
        }
        long rowBytes = (long) inFeatures * whole.dtype().bytes();
        return new TensorView(
                whole.name(),
                whole.dtype(),
                Shape.of(outFeatures, inFeatures),
                whole.data().asSlice(firstRow * rowBytes, outFeatures * rowBytes));
    }
}
