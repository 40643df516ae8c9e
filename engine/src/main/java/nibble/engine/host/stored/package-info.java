/**
 * Products of few rows with weights as their files hold them. Nothing is expanded: a kernel loads the file's own bytes,
 * makes numbers of them in registers and multiplies at once. {@link nibble.engine.host.stored.FewRows} finds the kernel
 * of a weight.
 */
@org.jspecify.annotations.NullMarked
package nibble.engine.host.stored;
