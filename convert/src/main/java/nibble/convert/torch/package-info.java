/**
 * PyTorch's zip files ({@code .bin}, {@code .pt}, {@code .pth} since version 1.6) and Meta's naming of a Llama inside them.
 *
 * <p>Such a file is a zip of uncompressed entries: {@code NAME/data.pkl} is a pickle that describes the tensors, and
 * {@code NAME/data/0}, {@code NAME/data/1} and so on are their bytes. {@link nibble.convert.torch.Unpickler} reads the pickle
 * as data: it knows a fixed list of names and calls nothing. {@link nibble.convert.torch.TorchFile} maps the entries in place.
 */
@NullMarked
package nibble.convert.torch;

import org.jspecify.annotations.NullMarked;
