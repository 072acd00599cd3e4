//! What is written in place of the annotated function.
//!
//! ```text
//! #attrs  #vis fn name(params) -> T {                  // no longer async
//!     let runtime = Builder::new_…().enable_all().build().expect("…");
//!     let body = async {
//!         if let Some(output) = None::<T> { return output; }
//!         …                                             // the user's tokens, as they came
//!     };
//!     return runtime.block_on(body);
//! }
//! ```
//!
//! With `stackful`, on a plain `fn`, it is shorter:
//!
//! ```text
//! #attrs  #vis fn name(params) -> T {
//!     let runtime = Builder::new_…().enable_all().build().expect("…");
//!     let body = move || -> T { … };                    // the user's tokens, as they came
//!     let task = stackful::Builder::new().name("name").go_on(body, runtime.handle());
//!     match runtime.block_on(task…) { Ok(output) => output, Err(error) => resume_unwind(…) }
//! }
//! ```
//!
//! What `main` or a test returns only has to be reported, to the shell or to the test harness. That is
//! done in the task as well: the function returns an `ExitCode`, and the task runs
//! `move || Termination::report(body())`. So `T` need not be `Send`, and may be a
//! `Result<(), Box<dyn Error>>` as everywhere.
//!
//! - **The `if let` is never taken.** An async block cannot declare its output type, and one left to
//!   inference takes it from the first `return` or `?` that it meets: `return Err(Box::new(e))`
//!   would make it a `Result<_, Box<E>>`, to be refused where the declared `Result<_, Box<dyn
//!   Error>>` comes in. Here the first `return` is ours, of the declared type, so what the user
//!   wrote is checked and coerced against it where it stands, and errors point there.
//! - **An async closure** (`async || -> T { … }`) would say the type in the open, but its body
//!   does not use it either (rustc 1.95), and it cannot return a mutable borrow of a parameter. **A
//!   nested `async fn`** could not name `Self`, generics or `self`.
//! - **Tokens of ours have the span of the attribute and the hygiene of `macro_rules!`**: the user's
//!   tokens do not see `runtime` and `body`, and rustc's and clippy's lints know the code as a
//!   macro's. Excepted are the tokens that the compiler shows in errors about the body, `async`, `output`
//!   and `go_on`: they lie where the user would look for what they say.
//! - **The runtime is made first**, so that a `worker_threads` expression sees the parameters before
//!   the body takes them, and is dropped last, after the body's future.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{
    AttrStyle, Attribute, Error, GenericArgument, Path, PathArguments, ReturnType, Signature, Type,
    TypeParamBound, Visibility, braced, token,
};

use crate::args::{self, Args, Attr, Errors, Flavor};

/// Expands `attr` on `item`.
///
/// Whatever is wrong, the item still comes out, as near to what was meant as can be, so that the
/// mistake itself is the only error the user reads.
pub(crate) fn expand(attr: Attr, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = args::parse(attr, args, &mut errors);

    let mut function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let problem = format!("`{attr}` goes on an `async fn` with a body");
            errors.push(Error::new(error.span(), problem));
            return quote!(#item #errors);
        }
    };
    function.refuse_second(attr, &mut errors);

    let is_async = function.sig.asyncness.is_some();
    let fits = match (&args.stackful, is_async) {
        (None, true) | (Some(_), false) => true,
        (None, false) => {
            errors.push(Error::new_spanned(
                function.sig.fn_token,
                format!(
                    "`{attr}` goes on an `async fn`: write `async` before `fn`; or, for \
                     blocking-style code, `#[runnext::{}(stackful)]`",
                    attr.ident(),
                ),
            ));
            false
        }
        (Some(_), true) => {
            errors.push(Error::new_spanned(
                function.sig.asyncness,
                "a `stackful` body is blocking-style code, which waits with `runnext::wait`: \
                 remove this `async`, or the argument `stackful`",
            ));
            function.sig.asyncness = None;
            true
        }
    };
    let main_has_params =
        attr == Attr::Main && function.sig.ident == "main" && !function.sig.inputs.is_empty();
    if main_has_params {
        errors.push(Error::new_spanned(
            &function.sig.inputs,
            "`main` takes no parameters: remove them, and read the command line with \
             `std::env::args()`",
        ));
    }

    if attr == Attr::Test {
        // After the user's attributes, so that other macros among them find it.
        function.attrs_tail = quote_spanned!(Span::mixed_site()=> #[::core::prelude::v1::test]);
    }

    if main_has_params {
        // The body can only be checked beside its parameters, and the program needs a `main`
        // without: the one inside the other.
        return quote! {
            fn main() {
                #[allow(dead_code)]
                #function
            }
            #errors
        };
    }
    match (fits, &args.stackful) {
        (true, None) => function.block_on(attr, &args),
        (true, Some(_)) => function.go(attr, &args),
        (false, _) => {}
    }
    quote!(#function #errors)
}

/// A function whose body is not looked into: a token stream is all that is needed of it, and
/// parsing it would be paid for in every build of the user's crate.
struct Function {
    /// The outer attributes, and the inner ones made outer.
    attrs: Vec<Attribute>,
    /// What goes between the attributes and the function.
    attrs_tail: TokenStream,
    vis: Visibility,
    sig: Signature,
    brace: token::Brace,
    body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let content;
        let brace = braced!(content in input);
        // The body becomes an async block, and blocks have no inner attributes.
        attrs.extend(
            content
                .call(Attribute::parse_inner)?
                .into_iter()
                .map(|attr| Attribute {
                    style: AttrStyle::Outer,
                    ..attr
                }),
        );
        Ok(Function {
            attrs,
            attrs_tail: TokenStream::new(),
            vis,
            sig,
            brace,
            body: content.parse()?,
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(tokens);
        }
        self.attrs_tail.to_tokens(tokens);
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.brace
            .surround(tokens, |tokens| self.body.to_tokens(tokens));
    }
}

impl Function {
    /// Refuses and removes attributes that would do once more what `attr` does.
    fn refuse_second(&mut self, attr: Attr, errors: &mut Errors) {
        self.attrs.retain(|other| {
            let second = is_second(attr, other);
            if second {
                let problem = match attr {
                    Attr::Main => format!("this function has its runtime from `{attr}` already"),
                    Attr::Test => format!("this function is a test by `{attr}` already"),
                };
                errors.push(Error::new_spanned(
                    other,
                    format!("{problem}: remove this second attribute"),
                ));
            }
            !second
        });
    }

    /// Makes it a function that blocks on what was its body.
    fn block_on(&mut self, attr: Attr, args: &Args) {
        let span = Span::mixed_site();
        let output = declared(&self.sig.output);
        let runtime = runtime(args);

        let declare = output.as_ref().map(|ty| {
            // "Return type inferred to be `T` here", says the compiler, and shows this token.
            let output = Ident::new("output", output_span(&self.sig));
            quote_spanned! {span=>
                if let ::core::option::Option::Some(#output) =
                    ::core::option::Option::None::<#ty>
                {
                    return #output;
                }
            }
        });
        let mut body = TokenStream::new();
        self.brace.surround(&mut body, |tokens| {
            declare.to_tokens(tokens);
            self.body.to_tokens(tokens);
        });

        // One copy of `block_on` for each output type. In `main` there is one anyway.
        let erase = match (attr, &output) {
            (Attr::Test, Some(output)) => quote_spanned! {span=>
                let body: ::core::pin::Pin<&mut dyn ::core::future::Future<Output = #output>> =
                    ::core::pin::pin!(body);
            },
            _ => TokenStream::new(),
        };

        let exit = if output.is_some() {
            // `return` for the lint that wants one in every function, clippy's `implicit_return`.
            quote_spanned!(span=> return runtime.block_on(body);)
        } else {
            // That the body's output is `!` is inferred from here.
            quote_spanned!(span=> runtime.block_on(body))
        };

        // "This function should return `Result`", says the compiler of a `?`, and shows this token.
        let asyncness = self.sig.asyncness.take().map(|mut asyncness| {
            asyncness.span = span.located_at(asyncness.span);
            asyncness
        });
        self.body = quote_spanned! {span=>
            let runtime = #runtime;
            let body = #asyncness #body;
            #erase
            #exit
        };
    }
}

impl Function {
    /// Makes it a function that runs what was its body as a stackful task, and blocks on that.
    fn go(&mut self, attr: Attr, args: &Args) {
        let span = Span::mixed_site();
        let krate = krate(args);
        let runtime = runtime(args);
        let name = self.sig.ident.unraw().to_string();
        let at_output = output_span(&self.sig);
        let output = declared(&self.sig.output).map(|ty| quote_spanned!(span=> -> #ty));
        let mut body = TokenStream::new();
        self.brace
            .surround(&mut body, |tokens| self.body.to_tokens(tokens));
        let report = self.is_reported(attr).then(|| {
            self.sig.output = syn::parse_quote_spanned!(span=> -> ::std::process::ExitCode);
            // "The trait `Termination` is not implemented", says the compiler of an output, and shows
            // this token.
            let output = Ident::new("output", span.located_at(at_output));
            quote_spanned! {span=>
                let body = move || {
                    let #output = body();
                    ::std::process::Termination::report(#output)
                };
            }
        });
        // "Cannot be sent between threads safely", says the compiler of an output, and shows this token.
        let go_on = Ident::new("go_on", at_output);
        self.body = quote_spanned! {span=>
            let runtime = #runtime;
            let body = move || #output #body;
            #report
            let task = {
                use #krate::stackful as __runnext_stackful;
                __runnext_stackful::Builder::new()
                    .name(#name)
                    .#go_on(body, runtime.handle())
            };
            let task = match task {
                ::core::result::Result::Ok(task) => task,
                ::core::result::Result::Err(error) => {
                    ::core::panic!("cannot start a stackful task: {error}")
                }
            };
            match runtime.block_on(task) {
                ::core::result::Result::Ok(output) => output,
                // The panic was reported where it happened.
                ::core::result::Result::Err(error) => {
                    ::std::panic::resume_unwind(error.into_panic())
                }
            }
        };
    }

    /// Whether what it returns is nothing to any caller but the shell or the test harness.
    ///
    /// Not if that is `()`, of which there is nothing to report; `#[should_panic]` asks for it.
    fn is_reported(&self, attr: Attr) -> bool {
        let returns = match &self.sig.output {
            ReturnType::Default => false,
            ReturnType::Type(_, ty) => match &**ty {
                Type::Tuple(tuple) => !tuple.elems.is_empty(),
                Type::Never(_) => false,
                _ => true,
            },
        };
        returns && (attr == Attr::Test || self.sig.ident == "main")
    }
}

/// The expression that makes the runtime.
fn runtime(args: &Args) -> TokenStream {
    let span = Span::mixed_site();
    let krate = krate(args);
    let new = match args.flavor {
        Flavor::MultiThread => quote_spanned!(span=> new_multi_thread),
        Flavor::CurrentThread => quote_spanned!(span=> new_current_thread),
    };
    let worker_threads = args
        .worker_threads
        .as_ref()
        .map(|n| quote_spanned!(span=> .worker_threads(#n)));
    let start_paused = args
        .start_paused
        .as_ref()
        .map(|paused| quote_spanned!(span=> .start_paused(#paused)));
    let stack_size = args
        .stack_size
        .as_ref()
        .map(|n| quote_spanned!(span=> .stack_size(#n)));
    // Where the path leads nowhere, an import is reported in one line; a path in an expression comes
    // with the advice to import `Builder` from elsewhere.
    quote_spanned! {span=>
        {
            use #krate::runtime as __runnext_runtime;
            __runnext_runtime::Builder::#new()
                #worker_threads
                #start_paused
                #stack_size
                .enable_all()
                .build()
                .expect("failed to build the runtime")
        }
    }
}

/// The path of the runtime crate.
fn krate(args: &Args) -> TokenStream {
    match &args.krate {
        Some(path) => path.to_token_stream(),
        None => quote_spanned!(Span::mixed_site()=> ::runnext),
    }
}

/// The return type as it can be written inside the body. `None` for `!`, which stable Rust takes
/// nowhere else.
fn declared(output: &ReturnType) -> Option<Type> {
    let mut ty = match output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    infer_impl_traits(&mut ty);
    (!matches!(ty, Type::Never(_))).then_some(ty)
}

/// Where the user reads the output type; the function's name where it is left out.
fn output_span(sig: &Signature) -> Span {
    match &sig.output {
        ReturnType::Default => sig.ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    }
}

/// Puts `_` for every `impl Trait`, which may stand in a signature and not in an expression.
fn infer_impl_traits(ty: &mut Type) {
    match ty {
        Type::ImplTrait(_) => {
            *ty = Type::Infer(syn::TypeInfer {
                underscore_token: token::Underscore::default(),
            });
        }
        Type::Array(array) => infer_impl_traits(&mut array.elem),
        Type::Group(group) => infer_impl_traits(&mut group.elem),
        Type::Paren(paren) => infer_impl_traits(&mut paren.elem),
        Type::Ptr(ptr) => infer_impl_traits(&mut ptr.elem),
        Type::Reference(reference) => infer_impl_traits(&mut reference.elem),
        Type::Slice(slice) => infer_impl_traits(&mut slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(infer_impl_traits),
        Type::Path(path) => infer_in_path(&mut path.path),
        Type::TraitObject(object) => {
            for bound in &mut object.bounds {
                if let TypeParamBound::Trait(bound) = bound {
                    infer_in_path(&mut bound.path);
                }
            }
        }
        _ => {}
    }
}

fn infer_in_path(path: &mut Path) {
    for segment in &mut path.segments {
        if let PathArguments::AngleBracketed(generics) = &mut segment.arguments {
            for generic in &mut generics.args {
                match generic {
                    GenericArgument::Type(ty) => infer_impl_traits(ty),
                    GenericArgument::AssocType(assoc) => infer_impl_traits(&mut assoc.ty),
                    _ => {}
                }
            }
        }
    }
}

/// Whether `other` does what `attr` does: the language's `#[test]` by any of its names, and the
/// attributes of async runtimes.
fn is_second(attr: Attr, other: &Attribute) -> bool {
    let path: Vec<_> = other
        .path()
        .segments
        .iter()
        .map(|s| s.ident.to_string())
        .collect();
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    match path[..] {
        ["test"] | ["core" | "std", "prelude", _, "test"] => attr == Attr::Test,
        ["runnext" | "tokio", name] => name == attr.ident(),
        _ => false,
    }
}
