//! The arguments between the parentheses of the attribute.
//!
//! [`ARGUMENTS`] is the one place that knows which there are: to add one, add a row, a field of
//! [`Given`] that its row fills in, and a field of [`Args`] for the expansion to read. What several
//! arguments mean together is checked in [`Given::settle`].
//!
//! A mistake does not end the reading. Each goes into an [`Errors`], the argument counts as not
//! given, and the caller gets arguments that it can expand.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, LitBool, Path, PathArguments, Token, UnOp};

/// Which of the two attributes is being expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attr {
    Main,
    Test,
}

impl Attr {
    /// The name without path or brackets.
    pub(crate) fn ident(self) -> &'static str {
        match self {
            Attr::Main => "main",
            Attr::Test => "test",
        }
    }

    fn default_flavor(self) -> Flavor {
        match self {
            Attr::Main => Flavor::MultiThread,
            Attr::Test => Flavor::CurrentThread,
        }
    }
}

/// The attribute as the user reads it in an error.
impl std::fmt::Display for Attr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#[runnext::{}]", self.ident())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    MultiThread,
    CurrentThread,
}

impl Flavor {
    const ALL: [Flavor; 2] = [Flavor::MultiThread, Flavor::CurrentThread];

    fn name(self) -> &'static str {
        match self {
            Flavor::MultiThread => "multi_thread",
            Flavor::CurrentThread => "current_thread",
        }
    }

    fn named(name: &str) -> Option<Flavor> {
        Flavor::ALL.into_iter().find(|flavor| flavor.name() == name)
    }
}

/// What the expansion needs to know.
pub(crate) struct Args {
    pub(crate) flavor: Flavor,
    /// Only with [`Flavor::MultiThread`].
    pub(crate) worker_threads: Option<Expr>,
    /// Only with [`Flavor::CurrentThread`].
    pub(crate) start_paused: Option<LitBool>,
    /// Only with `stackful`.
    pub(crate) stack_size: Option<Expr>,
    /// The word `stackful`, if the body is to be blocking-style code.
    pub(crate) stackful: Option<Ident>,
    /// The path of the runtime crate; `None` is `::runnext`.
    pub(crate) krate: Option<Path>,
}

/// Every error found so far, for the compiler to show at once.
#[derive(Debug, Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }
}

/// A `compile_error!` for each.
impl ToTokens for Errors {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.0.as_ref().map(Error::to_compile_error));
    }
}

/// An argument that the attributes understand.
struct Argument {
    name: &'static str,
    /// How it is written, for errors.
    example: &'static str,
    /// Checks the value and keeps it.
    set: fn(&mut Given, Expr) -> Result<(), Error>,
}

const ARGUMENTS: [Argument; 5] = [
    Argument {
        name: "flavor",
        example: "flavor = \"multi_thread\"",
        set: |given, value| {
            given.flavor = Some(flavor(&value)?);
            Ok(())
        },
    },
    Argument {
        name: "worker_threads",
        example: "worker_threads = 4",
        set: |given, value| {
            given.worker_threads = Some(worker_threads(value)?);
            Ok(())
        },
    },
    Argument {
        name: "start_paused",
        example: "start_paused = true",
        set: |given, value| {
            given.start_paused = Some(start_paused(value)?);
            Ok(())
        },
    },
    Argument {
        name: "stack_size",
        example: "stack_size = 1 << 20",
        set: |given, value| {
            given.stack_size = Some(stack_size(value)?);
            Ok(())
        },
    },
    Argument {
        name: "crate",
        example: "crate = \"path::to::runnext\"",
        set: |given, value| {
            given.krate = Some(krate(&value)?);
            Ok(())
        },
    },
];

/// The arguments as they were written, each correct by itself.
#[derive(Default)]
struct Given {
    /// The name of each argument that was met, whether or not its value was any good.
    names: Vec<Ident>,
    flavor: Option<Flavor>,
    worker_threads: Option<Expr>,
    start_paused: Option<LitBool>,
    stack_size: Option<Expr>,
    stackful: Option<Ident>,
    krate: Option<Path>,
}

/// The one argument without a value.
const STACKFUL: &str = "stackful";

/// Reads the arguments of `attr`. Those that are wrong count as not given.
pub(crate) fn parse(attr: Attr, tokens: TokenStream, errors: &mut Errors) -> Args {
    let mut given = Given::default();
    let read = |input: ParseStream<'_>| {
        while !input.is_empty() {
            argument(attr, input, &mut given, errors)?;
            if !input.is_empty() && input.parse::<Token![,]>().is_err() {
                return Err(
                    input.error("arguments are separated by commas: write a `,` before this")
                );
            }
        }
        Ok(())
    };
    // An error that comes back rather than being pushed is one after which it is anyone's guess
    // where the next argument begins.
    if let Err(error) = read.parse2(tokens) {
        errors.push(error);
    }
    given.settle(attr, errors)
}

/// Reads one `name = value`.
fn argument(
    attr: Attr,
    input: ParseStream<'_>,
    given: &mut Given,
    errors: &mut Errors,
) -> Result<(), Error> {
    // `crate` is a keyword, hence any identifier.
    let Ok(name) = input.call(Ident::parse_any) else {
        return Err(input.error(format!(
            "arguments of `{attr}` are written `name = value`, as in `{}`",
            ARGUMENTS[0].example,
        )));
    };
    let known = ARGUMENTS.iter().find(|argument| name == argument.name);
    if name == STACKFUL {
        return stackful(input, name, given, errors);
    }
    let has_equals = input.parse::<Option<Token![=]>>()?.is_some();
    if !has_equals || input.is_empty() || input.peek(Token![,]) {
        errors.push(match (known, Flavor::named(&name.to_string())) {
            (Some(argument), _) => missing_value(&name, argument),
            (None, Some(flavor)) => Error::new_spanned(
                &name,
                format!(
                    "a flavor is given by name: write `flavor = \"{}\"`",
                    flavor.name(),
                ),
            ),
            (None, None) => unknown(attr, &name),
        });
        given.names.push(name);
        // What stands there instead, as in `flavor("multi_thread")`, is part of the same mistake.
        while !input.is_empty() && !input.peek(Token![,]) {
            input.parse::<TokenTree>()?;
        }
        return Ok(());
    }
    let value = ungroup(input.parse()?);

    let Some(argument) = known else {
        errors.push(unknown(attr, &name));
        return Ok(());
    };
    if given.names.contains(&name) {
        errors.push(Error::new_spanned(
            &name,
            format!("`{name}` is given twice: remove one of the two"),
        ));
        return Ok(());
    }
    given.names.push(name);
    if let Err(error) = (argument.set)(given, value) {
        errors.push(error);
    }
    Ok(())
}

/// Reads what follows the word `stackful`, which is nothing.
fn stackful(
    input: ParseStream<'_>,
    name: Ident,
    given: &mut Given,
    errors: &mut Errors,
) -> Result<(), Error> {
    if given.stackful.is_some() {
        errors.push(Error::new_spanned(
            &name,
            "`stackful` is given twice: remove one of the two",
        ));
    }
    if !input.is_empty() && !input.peek(Token![,]) {
        errors.push(Error::new_spanned(
            &name,
            "`stackful` takes no value: write the word alone, or leave it out",
        ));
        while !input.is_empty() && !input.peek(Token![,]) {
            input.parse::<TokenTree>()?;
        }
    }
    given.stackful = Some(name);
    Ok(())
}

/// The value without the invisible group that a `macro_rules!` fragment comes in.
fn ungroup(mut value: Expr) -> Expr {
    while let Expr::Group(group) = value {
        value = *group.expr;
    }
    value
}

fn missing_value(name: &Ident, argument: &Argument) -> Error {
    Error::new_spanned(
        name,
        format!("`{name}` needs a value: write `{}`", argument.example),
    )
}

fn unknown(attr: Attr, name: &Ident) -> Error {
    let known: Vec<_> = ARGUMENTS
        .iter()
        .map(|argument| argument.name)
        .chain([STACKFUL])
        .map(|name| format!("`{name}`"))
        .collect();
    Error::new_spanned(
        name,
        format!(
            "`{attr}` has no argument `{name}`: the arguments are {}",
            known.join(", "),
        ),
    )
}

fn flavor(value: &Expr) -> Result<Flavor, Error> {
    let [one, other] = Flavor::ALL.map(Flavor::name);
    if let Expr::Lit(ExprLit {
        lit: Lit::Str(name),
        ..
    }) = value
    {
        let name = name.value();
        return Flavor::named(&name).ok_or_else(|| {
            Error::new_spanned(
                value,
                format!("there is no flavor `{name}`: the flavors are \"{one}\" and \"{other}\""),
            )
        });
    }
    Err(Error::new_spanned(
        value,
        format!("`flavor` takes a string: write \"{one}\" or \"{other}\", with the quotes"),
    ))
}

fn worker_threads(value: Expr) -> Result<Expr, Error> {
    let zero = "and with no worker no task would ever run: write at least 1, or leave it out for one \
                worker for each CPU";
    number(value, "worker_threads", "4", zero, "write at least 1")
}

fn stack_size(value: Expr) -> Result<Expr, Error> {
    let zero = "and nothing runs without a stack: write a number of bytes, or leave it out for the \
                usual size";
    let negative = "write a number of bytes";
    number(value, "stack_size", "1_000_000", zero, negative)
}

/// Refuses what can only be a mistake. Any other expression is left to the type checker, which
/// knows `usize` when it meets one.
fn number(
    value: Expr,
    name: &str,
    example: &str,
    zero: &str,
    negative: &str,
) -> Result<Expr, Error> {
    let problem = match &value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => match number.base10_parse::<usize>() {
            Ok(0) => format!("`{name}` is 0, {zero}"),
            Ok(_) => return Ok(value),
            Err(_) => format!("`{name}` does not fit a `usize`: write a smaller number"),
        },
        Expr::Lit(_) => format!(
            "`{name}` takes a number: write an integer without quotes, as in `{name} = {example}`, \
             or an expression of type `usize`"
        ),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_), ..
        }) => format!("`{name}` cannot be negative: {negative}"),
        _ => return Ok(value),
    };
    Err(Error::new_spanned(value, problem))
}

fn start_paused(value: Expr) -> Result<LitBool, Error> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Bool(value),
            ..
        }) => Ok(value),
        _ => Err(Error::new_spanned(
            value,
            "`start_paused` takes `true` or `false`: write `start_paused = true`",
        )),
    }
}

fn krate(value: &Expr) -> Result<Path, Error> {
    let path = match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(path),
            ..
        }) => path.parse_with(Path::parse_mod_style).ok(),
        Expr::Path(bare) if bare.qself.is_none() => Some(bare.path.clone()),
        _ => None,
    };
    path.filter(|path| {
        path.segments
            .iter()
            .all(|s| matches!(s.arguments, PathArguments::None))
    })
    .ok_or_else(|| {
        Error::new_spanned(
            value,
            "`crate` takes the path of the runtime crate: write a path, as in \
             `crate = \"my_crate::runnext\"`",
        )
    })
}

impl Given {
    /// Checks what the arguments mean together, and fills in the defaults.
    fn settle(self, attr: Attr, errors: &mut Errors) -> Args {
        let named = |name: &str| self.names.iter().find(|given| *given == name);
        let flavor = self.flavor.unwrap_or(attr.default_flavor());

        let mut worker_threads = self.worker_threads;
        // A flavor that was misspelled may have been the right one.
        let flavor_is_known = self.flavor.is_some() || named("flavor").is_none();
        if flavor == Flavor::CurrentThread
            && flavor_is_known
            && let Some(name) = named("worker_threads")
        {
            errors.push(Error::new_spanned(
                name,
                match self.flavor {
                    Some(_) => "`worker_threads` has no meaning for the `current_thread` flavor, \
                                which has one worker: remove it, or write \
                                `flavor = \"multi_thread\"`"
                        .to_owned(),
                    None => format!(
                        "`worker_threads` has no meaning for the `current_thread` flavor, which is \
                         the default of `{attr}`: add `flavor = \"multi_thread\"`",
                    ),
                },
            ));
        }
        if flavor == Flavor::CurrentThread {
            worker_threads = None;
        }

        let mut start_paused = self.start_paused;
        if flavor == Flavor::MultiThread
            && flavor_is_known
            && let Some(name) = named("start_paused")
            && start_paused.as_ref().is_none_or(|paused| paused.value)
        {
            errors.push(Error::new_spanned(
                name,
                match self.flavor {
                    Some(_) => {
                        "`start_paused` needs the `current_thread` flavor, since nobody can \
                                tell when several threads have nothing left to do: remove it, or \
                                write `flavor = \"current_thread\"`"
                            .to_owned()
                    }
                    None => format!(
                        "`start_paused` needs the `current_thread` flavor, and `multi_thread` is \
                         the default of `{attr}`: add `flavor = \"current_thread\"`",
                    ),
                },
            ));
            start_paused = None;
        }

        let mut stack_size = self.stack_size;
        if self.stackful.is_none() {
            if let Some(name) = named("stack_size") {
                errors.push(Error::new_spanned(
                    name,
                    "`stack_size` is for a `stackful` body, and an `async fn` has no stack of its own: \
                     remove it, or build the runtime with `runtime::Builder::stack_size`",
                ));
            }
            stack_size = None;
        }

        Args {
            flavor,
            worker_threads,
            start_paused,
            stack_size,
            stackful: self.stackful,
            krate: self.krate,
        }
    }
}

#[cfg(test)]
mod tests;
